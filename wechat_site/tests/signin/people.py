"""Users with roles and permissions, and browsers in which they are signed in."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.test import Client

__all__ = ["browser_of", "with_rights", "with_role"]


def with_rights(name: str, *rights: str) -> User:
    user = User.objects.create_user(name, password="x", is_staff=True)
    for right in rights:
        app, codename = right.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return User.objects.get(pk=user.pk)


def with_role(name: str, role: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(made_as__key=role))
    return User.objects.get(pk=user.pk)


def browser_of(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client

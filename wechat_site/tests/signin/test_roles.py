"""The roles that `migrate` makes."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

from events.models import Role
from events.people.scopes import SCOPES, scopes_of
from wechat_site.signin.roles import ROLES, make_roles

pytestmark = pytest.mark.django_db


def test_roles_know_every_right_that_they_name():
    known = {
        f"{p.content_type.app_label}.{p.codename}"
        for p in Permission.objects.select_related("content_type")
    }
    for key, role in ROLES.items():
        assert role.permissions <= known, key
        assert set(Role.objects.get(key=key).given) == role.permissions


def test_the_administrators_role_has_all_that_any_role_has():
    for role in ROLES.values():
        assert role.permissions <= ROLES["administrator"].permissions


def test_an_administrator_may_give_a_key_every_scope(django_user_model):
    user = django_user_model.objects.create_user("lin")
    user.groups.add(Group.objects.get(made_as__key="administrator"))
    assert set(SCOPES) - set(scopes_of(user)) == set()


def test_what_an_administrator_changes_in_a_role_stays_changed():
    agent = Group.objects.get(made_as__key="agent")
    taken = Permission.objects.get(codename="view_message_contents")
    added = Permission.objects.get(codename="view_qrscene")
    agent.permissions.remove(taken)
    agent.permissions.add(added)
    agent.name = "Support"
    agent.save()
    Group.objects.get(made_as__key="auditor").delete()
    before = set(agent.permissions.values_list("codename", flat=True))
    make_roles()
    make_roles()
    assert set(agent.permissions.values_list("codename", flat=True)) == before
    assert Group.objects.count() == len(ROLES) - 1


def test_a_right_that_comes_later_reaches_the_role_once():
    agent = Group.objects.get(made_as__key="agent")
    role = Role.objects.get(key="agent")
    new = Permission.objects.get(codename="view_subscriber")
    role.given.remove("subscribers.view_subscriber")
    role.save()
    agent.permissions.remove(new)
    make_roles()
    assert agent.permissions.filter(pk=new.pk).exists()

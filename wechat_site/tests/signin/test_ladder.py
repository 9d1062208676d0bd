"""Nobody gives a user or a group more than he has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from events.models import AccountLimit
from events.testing import make_account
from events.viewer import account_ids
from wechat_site.signin.roles import ROLES
from wechat_site.tests.signin.people import browser_of, with_rights, with_role
from wechat_site.tests.signin.world import make_rows

pytestmark = pytest.mark.django_db


PEOPLE = ("auth.view_user", "auth.change_user", "auth.add_user", "auth.delete_user")


@pytest.fixture
def clerk() -> User:
    return with_rights("clerk", *PEOPLE, "auth.view_group", "auth.add_group", "auth.change_group")


def change(client: Client, user: User, **form: Any) -> Any:
    limit = {
        "account_limit-TOTAL_FORMS": "0", "account_limit-INITIAL_FORMS": "0",
        "wechat_bindings-TOTAL_FORMS": "0", "wechat_bindings-INITIAL_FORMS": "0",
    }  # fmt: skip
    whole = {
        "username": user.username,
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        "is_active": "on",
        "is_staff": "on",
        **limit,
        **form,
    }
    return client.post(f"/admin/auth/user/{user.pk}/change/", whole)


def test_change_user_makes_no_superuser(clerk):
    victim = with_rights("victim")
    for target in (victim, clerk):
        change(browser_of(clerk), target, is_superuser="on")
    assert not User.objects.filter(is_superuser=True).exists()


def test_change_user_gives_no_right_beyond_ones_own(clerk):
    victim = with_rights("victim")
    beyond = Permission.objects.get(codename="view_message_contents")
    strong = Group.objects.get(made_as__key="administrator")
    for form in ({"user_permissions": [beyond.pk]}, {"groups": [strong.pk]}):
        page = change(browser_of(clerk), victim, **form)
        assert page.status_code == 200, "the form must refuse it"
    assert User.objects.get(pk=victim.pk).get_all_permissions() == set()
    own = Permission.objects.get(codename="view_group")
    assert change(browser_of(clerk), victim, user_permissions=[own.pk]).status_code == 302
    assert User.objects.get(pk=victim.pk).get_all_permissions() == {"auth.view_group"}


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("kind", ["superuser", "stronger"])
def test_change_user_takes_over_nobody_stronger(clerk, kind, is_active):
    target = (
        User.objects.create_superuser("root", password="old")
        if kind == "superuser"
        else with_rights("strong", "events.view_message_contents")
    )
    User.objects.filter(pk=target.pk).update(is_active=is_active)
    before = User.objects.filter(pk=target.pk).values().get()
    client = browser_of(clerk)
    new = {"password1": "n3w-pass-word", "password2": "n3w-pass-word", "usable_password": "true"}
    assert client.post(f"/admin/auth/user/{target.pk}/password/", new).status_code == 403
    assert change(client, target, username="mine").status_code == 403
    assert client.post(f"/admin/auth/user/{target.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [target.pk], "post": "yes"}
    client.post("/admin/auth/user/", chosen)
    assert User.objects.filter(pk=target.pk).values().get() == before


def test_permissions_are_in_the_readers_language_and_those_that_open_nothing_are_left_out():
    browser = browser_of(User.objects.create_superuser("root"))
    browser.cookies["django_language"] = "zh-hans"
    page = browser.get("/admin/auth/group/add/").content.decode()
    assert "| 回复规则 | 修改</option>" in page
    assert not re.search(r"Can (add|change|delete|view) ", page)
    assert "电子邮件确认" not in page
    script = browser.get("/admin/jsi18n/").content.decode()
    assert json.dumps("全部选择") in script


def test_change_group_adds_no_right_beyond_ones_own(clerk):
    group = Group.objects.create(name="mine")
    clerk.groups.add(group)
    client = browser_of(clerk)
    beyond = Permission.objects.get(codename="view_message_contents")
    form = {"name": "mine", "permissions": [beyond.pk]}
    assert client.post(f"/admin/auth/group/{group.pk}/change/", form).status_code == 200
    client.post("/admin/auth/group/add/", {**form, "name": "new"})
    assert not Group.objects.filter(name="new").exists()
    assert not group.permissions.exists()
    strong = Group.objects.get(made_as__key="agent")
    assert client.post(f"/admin/auth/group/{strong.pk}/change/", form).status_code == 403


def test_who_is_limited_makes_no_unlimited_user():
    limited = with_role("limited", "administrator")
    AccountLimit.objects.create(user=limited)
    client = browser_of(limited)
    new = {
        "username": "x", "password1": "n3w-pass-word", "password2": "n3w-pass-word",
        "usable_password": "true",
    }  # fmt: skip
    assert client.post("/admin/auth/user/add/", new).status_code == 403
    assert change(client, limited).status_code == 403
    assert not User.objects.filter(username="x").exists()
    assert AccountLimit.objects.filter(user=limited).exists()


@pytest.mark.parametrize("has_account", [True, False])
def test_a_limit_is_set_on_the_users_page_with_or_without_accounts(has_account):
    account = make_account("shop", mode="plaintext")
    user = with_role("analyst", "analyst")
    chosen = [account.pk] if has_account else []
    form = {"account_limit-TOTAL_FORMS": "1", "account_limit-0-accounts": chosen}
    browser = browser_of(User.objects.create_superuser("root"))
    groups = [group.pk for group in user.groups.all()]
    assert change(browser, user, groups=groups, **form).status_code == 302
    assert account_ids(User.objects.get(pk=user.pk)) == frozenset(chosen)
    shown = browser_of(user).get("/admin/events/officialaccount/").content.decode()
    assert (account.original_id in shown) == has_account


def test_a_limit_that_lost_its_last_account_shows_nothing():
    rows = make_rows("hats", "Hemlock Hats", "oTHRk5QmZb7LwR2nVc9Ys0DfHj9Z", "otherwords")
    analyst = with_role("analyst", "analyst")
    AccountLimit.objects.create(user=analyst).accounts.add(make_account("gone"))
    AccountLimit.objects.get().accounts.clear()
    page = browser_of(analyst).get("/admin/subscribers/subscriber/").content.decode()
    assert rows.openid not in page


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_only_permissions_of_pages_are_offered_and_all_have_words(operator, language):
    operator.cookies["django_language"] = language
    page = operator.get("/admin/auth/group/add/")
    field = page.context["adminform"].form.fields["permissions"]
    offered = {f"{right.content_type.app_label}.{right.codename}" for right in field.queryset}
    # No page has open events; the administrators' role and a page have the others.
    assert "events.view_openevent" not in offered
    assert {"events.view_role", "events.publish_rules", "auth.view_user"} <= offered
    for role in ROLES.values():
        assert role.permissions <= offered
    if language == "zh-hans":
        names = [field.label_from_instance(right) for right in field.queryset]
        assert [name for name in names if name.isascii()] == []

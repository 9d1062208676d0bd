"""What an entry says, and that nothing changes or removes it."""

from __future__ import annotations

import csv
import datetime
import io

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import caches
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.audit.command import by_command
from events.audit.record import record
from events.audit.watched_tables import HIDDEN
from events.models import (
    AccountLimit,
    ApiKey,
    AuditEntry,
    AuditRemoval,
    OfficialAccount,
    ReplyRule,
)
from events.models.people.audit_entry import AppendOnly
from events.retention.forget_entries import forget_old_entries
from events.testing import AES_KEY, make_account, make_rule, message_xml, push

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_look_remembered():
    caches["process"].clear()


@pytest.fixture
def account():
    return make_account(app_secret="5d41402abc4b2a76b9719d911017c592")


@pytest.fixture
def rule(account):
    return make_rule(account, "text", key="a greeting", content="Hello")


def last(**filters):
    return AuditEntry.objects.filter(**filters).latest("pk")


def test_a_change_has_the_values_before_and_after(rule):
    rule.name = "Good day"
    rule.save()
    entry = last()
    assert (entry.act, entry.model, entry.object_id) == (
        "change", "events.replyrule", str(rule.pk),
    )  # fmt: skip
    assert entry.changes == {"name": ["a greeting", "Good day"]}
    assert (entry.way, entry.user_name, entry.account) == ("site", "", rule.account)
    number = AuditEntry.objects.count()
    rule.save()
    assert AuditEntry.objects.count() == number


def test_no_secret_is_in_an_entry(account):
    now = timezone.now()
    account.set_token("AnotherToken2026", now=now)
    account.app_secret = "f" * 32
    account.save()
    assert last().changes == {"token": [HIDDEN, HIDDEN], "app_secret": [HIDDEN, HIDDEN]}
    user = User.objects.create_user("ops", password="correct horse battery")
    user.set_password("another horse battery")
    user.save()
    assert last().changes == {"password": [HIDDEN, HIDDEN]}
    made, key = ApiKey.issue(user=user, scopes=["events:read"])
    account.delete()
    said = "".join(
        f"{entry.changes} {entry.details} {entry.object_name}" for entry in AuditEntry.objects.all()
    )
    for secret in (
        AES_KEY, "Rk7mWechatTok2026", "AnotherToken2026", "f" * 32, user.password, key,
        made.digest, account.callback_key,
    ):  # fmt: skip
        assert secret not in said


def test_groups_and_permissions_that_are_given_and_taken():
    user, group = User.objects.create_user("ops"), Group.objects.create(name="Agents")
    user.groups.add(group)
    assert (last().act, last().object_name) == ("change", "ops")
    assert last().changes == {"groups": [[], ["Agents"]]}
    user.groups.clear()
    assert last().changes == {"groups": [["Agents"], []]}
    permission = Permission.objects.get(codename="change_replyrule")
    group.permissions.set([permission])
    assert last().changes == {"permissions": [[], ["events.change_replyrule"]]}
    group.permissions.remove(permission)
    assert last().changes == {"permissions": [["events.change_replyrule"], []]}
    user.user_permissions.add(permission)
    assert last().changes == {"user_permissions": [[], ["events.change_replyrule"]]}
    group.user_set.add(user)
    assert (last().object_name, last().changes) == ("Agents", {"user": [[], ["ops"]]})


def test_an_entry_is_part_of_the_act(rule):
    number = AuditEntry.objects.count()
    rule.name = "never stored"
    with transaction.atomic():
        rule.save()
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == number


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.save(),
        lambda entry: entry.delete(),
        lambda entry: AuditEntry.objects.update(act="nothing"),
        lambda entry: AuditEntry.objects.all().delete(),
        lambda entry: AuditEntry.objects.bulk_update([entry], ["act"]),
    ],
)
def test_nobody_in_the_application_changes_or_removes_an_entry(rule, change):
    with pytest.raises(AppendOnly):
        change(last())


def test_the_database_itself_refuses_to_change_an_entry(rule):
    with (
        pytest.raises(DatabaseError, match="never changed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE events_auditentry SET act = 'nothing'")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events_auditentry",
        "DELETE FROM events_auditentry WHERE at < '2020-01-01'",
        "INSERT INTO events_auditremoval (before) VALUES ('2020-01-01 00:00:00');"
        "DELETE FROM events_auditentry WHERE act = 'add'",
        pytest.param("TRUNCATE events_auditentry", marks=pytest.mark.postgres),
    ],
)
def test_the_database_itself_refuses_to_remove_an_entry(rule, statement):
    AuditEntry.objects.create(
        at=datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC), act="look", way="page"
    )
    *before, removal = statement.split(";")
    with transaction.atomic(), connection.cursor() as cursor:
        for part in before:
            cursor.execute(part)
        with pytest.raises(DatabaseError, match="not removed"), transaction.atomic():
            cursor.execute(removal)


def test_entries_are_kept_for_as_long_as_the_setting_says(rule, settings):
    now = timezone.now()
    kept = AuditEntry.objects.count()
    AuditEntry.objects.create(at=now - datetime.timedelta(days=1100), act="look", way="page")
    settings.AUDIT_RETENTION_DAYS = None
    assert forget_old_entries(now) == 0
    settings.AUDIT_RETENTION_DAYS = 1095
    assert forget_old_entries(now) == 1
    assert AuditEntry.objects.count() == kept
    # Nothing is left that would let others remove entries.
    assert not AuditRemoval.objects.exists()


def test_a_push_writes_no_entry(rule):
    number = AuditEntry.objects.count()
    for kind in ("text", "event.subscribe", "event.unsubscribe", "event.SCAN"):
        assert push(rule.account, message_xml(kind, Content="hi")).status_code == 200
    assert AuditEntry.objects.count() == number


def test_what_a_command_does_is_its_users_act(account):
    with by_command():
        record("look", account)
    assert last().way == "command"
    assert last().user_name


def test_the_address_is_the_one_behind_the_believed_proxies(operator, rule, settings):
    page = reverse("admin:events_replyrule_change", args=[rule.pk])
    form = {"account": rule.account_id, "on": "other", "name": "Changed"}
    form["answers0-kind"] = "nothing"
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
    operator.post(page, form, headers=forwarded)
    assert (last().user_name, last().way, last().address) == ("operator", "page", "127.0.0.1")
    settings.TRUSTED_PROXIES = 1
    operator.post(page, form | {"name": "Again"}, headers=forwarded)
    assert last().address == "198.51.100.1"
    assert last().changes["name"] == ["Changed", "Again"]


# --- The pages ------------------------------------------------------------------------------------

LISTING = "/admin/events/auditentry/"


def test_the_list_is_read_filtered_and_exported(operator, rule):
    operator.post("/account/logout/")
    operator.force_login(User.objects.get(username="operator"))
    rule.name = "=cmd"
    rule.save()
    shown = operator.get(LISTING).content.decode()
    assert "signed in" in shown
    assert "=cmd" in shown
    shown = operator.get(LISTING, {"act": "sign_in"}).content.decode()
    assert "=cmd" not in shown
    for query in ({"q": "operator"}, {"q": "127.0.0.1"}, {"way": "page"}, {"days": "7"},
                  {"account": "shop"}):  # fmt: skip
        assert operator.get(LISTING, query).status_code == 200
    entry = last(model="events.replyrule")
    page = operator.get(f"{LISTING}{entry.pk}/change/").content.decode()
    assert "=cmd" in page
    response = operator.get(f"{LISTING}export/", {"account": "shop"})
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["account"] for row in rows} == {"shop"}
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), key=int)
    assert rows[-1]["changes"] == '{"name":["a greeting","=cmd"]}'
    assert (last().act, last().model) == ("export", "events.auditentry")


def test_only_the_permission_opens_it_and_nobody_writes(client, rule):
    user = User.objects.create_user("auditor", is_staff=True)
    client.force_login(user)
    entry = last()
    pages = [LISTING, f"{LISTING}export/", f"{LISTING}{entry.pk}/change/"]
    assert [client.get(page).status_code for page in pages] == [403, 403, 403]
    user.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    assert [client.get(page).status_code for page in pages] == [200, 200, 200]
    assert client.get(f"{LISTING}add/").status_code == 403
    assert client.get(f"{LISTING}{entry.pk}/delete/").status_code == 403
    assert client.post(f"{LISTING}{entry.pk}/change/", {"act": "x"}).status_code == 403


def test_a_user_with_some_accounts_reads_only_their_entries(client, rule):
    other = make_account("hats", name="Hemlock Hats")
    user = User.objects.create_user("auditor", is_staff=True)
    names = ["view_auditentry", "view_replyrule", "change_replyrule"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    AccountLimit.objects.create(user=user).accounts.add(other)
    client.force_login(user)
    shown = client.get(LISTING).content.decode()
    assert "Hemlock Hats" in shown
    entry = last(model="events.replyrule")
    assert entry.object_name not in shown
    rows = b"".join(client.get(f"{LISTING}export/").streaming_content).decode()
    assert "hats" in rows
    assert "events.replyrule" not in rows
    assert client.get(f"{LISTING}{entry.pk}/change/").status_code == 302
    put_back = reverse("admin:events_replyrule_put_back", args=[entry.pk])
    assert client.post(put_back).status_code == 404


def test_any_earlier_state_of_a_rule_can_be_put_back(operator, rule):
    rule.name, rule.choice = "Second", "one"
    rule.save()
    rule.name, rule.is_active = "Third", False
    rule.save()
    history = operator.get(reverse("admin:events_replyrule_history", args=[rule.pk]))
    text = history.content.decode()
    assert "Second" in text
    assert "Third" in text
    first = AuditEntry.objects.about(rule).earliest("pk")
    put_back = reverse("admin:events_replyrule_put_back", args=[first.pk]) + "?state=after"
    assert put_back in text
    assert "Third" in operator.get(put_back).content.decode()
    operator.post(put_back)
    rule.refresh_from_db()
    assert (rule.name, rule.choice, rule.is_active) == ("a greeting", "all", True)
    assert (last().act, last().user_name) == ("put_back", "operator")
    assert last().changes["name"] == ["Third", "a greeting"]


def test_a_removed_rule_can_be_put_back(operator, rule):
    pk = rule.pk
    operator.post(reverse("admin:events_replyrule_delete", args=[pk]), {"post": "yes"})
    entry = last(act="delete")
    assert entry.user_name == "operator"
    put_back = reverse("admin:events_replyrule_put_back", args=[entry.pk]) + "?state=before"
    assert put_back in operator.get(f"{LISTING}{entry.pk}/change/").content.decode()
    operator.post(put_back)
    assert ReplyRule.objects.get(pk=pk).rule == rule.rule


def test_who_may_not_change_rules_puts_none_back(client, rule):
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_replyrule"))
    client.force_login(user)
    entry = last(model="events.replyrule")
    put_back = reverse("admin:events_replyrule_put_back", args=[entry.pk])
    assert client.post(put_back).status_code == 403
    page = client.get(reverse("admin:events_replyrule_history", args=[rule.pk]))
    assert "put-back" not in page.content.decode()


def test_an_account_shows_its_history_without_secrets(operator, account):
    account.name = "Spruce Books"
    account.set_token("AnotherToken2026", now=timezone.now())
    account.save()
    page = reverse("admin:events_officialaccount_history", args=[account.pk])
    text = operator.get(page).content.decode()
    assert "Spruce Books" in text
    assert HIDDEN in text
    assert "AnotherToken2026" not in text


def test_nobody_sees_the_history_of_what_he_may_not_see(client: Client, account: OfficialAccount):
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    page = reverse("admin:events_officialaccount_history", args=[account.pk])
    assert client.get(page).status_code == 403

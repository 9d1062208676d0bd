"""API keys and binding requests do what their user may do, and no more."""

from __future__ import annotations

import datetime
import io
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from events.models import AccountLimit, ApiKey, AuditEntry
from events.people.scopes import ACT_FOR_USERS, SCOPES
from events.testing import make_account
from wechat_site.tests.signin.people import browser_of, with_rights, with_role
from wechat_site.tests.signin.world import make_rows

pytestmark = pytest.mark.django_db


def test_a_key_is_made_for_oneself_alone_and_within_ones_rights():
    analyst = with_role("analyst", "analyst")
    root = User.objects.create_superuser("root")
    client = browser_of(analyst)
    made = {"name": "mine", "scopes": ["events:read"], "user": root.pk}
    client.post("/admin/events/apikey/add/", made)
    assert ApiKey.objects.get().user == analyst
    for scope in ("messages:read", "messages:write", ACT_FOR_USERS):
        client.post("/admin/events/apikey/add/", {"name": "x", "scopes": [scope]})
    assert ApiKey.objects.count() == 1


def test_keys_of_others_are_neither_seen_nor_revoked():
    analyst = with_role("analyst", "analyst")
    key, _ = ApiKey.issue(
        user=User.objects.create_superuser("root"), scopes=list(SCOPES), name="key of root"
    )
    client = browser_of(analyst)
    assert "key of root" not in client.get("/admin/events/apikey/").content.decode()
    chosen = {"action": "revoke", "_selected_action": [key.pk]}
    client.post("/admin/events/apikey/", chosen)
    assert ApiKey.objects.get().revoked_at is None


def test_only_keys_that_were_revoked_are_recorded():
    """One may see all keys, but revoke only their own."""
    rights = ("auth.view_user", "events.view_apikey", "events.change_apikey")
    watcher = with_rights("watcher", *rights)
    own, over = (ApiKey.issue(user=watcher, scopes=[])[0] for _ in range(2))
    others, _ = ApiKey.issue(user=User.objects.create_superuser("root"), scopes=[])
    ApiKey.objects.filter(pk=over.pk).update(revoked_at=timezone.now())
    chosen = {"action": "revoke", "_selected_action": [own.pk, over.pk, others.pk]}
    assert browser_of(watcher).post("/admin/events/apikey/", chosen).status_code == 302
    assert list(ApiKey.objects.filter(revoked_at=None)) == [others]
    entry = AuditEntry.objects.get(act="revoke")
    assert (entry.object_id, entry.details) == (str(own.pk), {})


def get(key: str, path: str = "/api/v1/events/", scheme: str = "Bearer") -> Any:
    return Client().get(path, headers={"Authorization": f"{scheme} {key}"})


def test_a_key_loses_what_its_owner_loses():
    analyst = with_role("analyst", "analyst")
    rows = make_rows("hats", "Hemlock Hats", "oTHRk5QmZb7LwR2nVc9Ys0DfHj9Z", "otherwords")
    _, key = ApiKey.issue(user=analyst, scopes=["events:read"])
    assert get(key).json()["results"][0]["openid"] == rows.openid
    assert get(key, scheme="Token").status_code == 200

    limit = AccountLimit.objects.create(user=analyst)
    assert get(key).json()["results"] == []
    limit.delete()
    role = Group.objects.get(made_as__key="analyst")
    role.permissions.remove(Permission.objects.get(codename="view_openids_in_clear"))
    assert rows.openid not in get(key).content.decode()
    analyst.groups.clear()
    assert get(key).status_code == 403


def test_a_key_ends_and_says_so_before():
    root = User.objects.create_superuser("root")
    made, key = ApiKey.issue(user=root, scopes=["events:read"])
    lasts = made.expires_at - timezone.now()
    assert datetime.timedelta(days=364) < lasts <= datetime.timedelta(days=365)
    assert "API-Key-Expires" not in get(key).headers
    ApiKey.objects.update(expires_at=timezone.now() + datetime.timedelta(days=20))
    assert get(key).headers["API-Key-Expires"].endswith("Z")
    ApiKey.objects.update(expires_at=timezone.now())
    assert get(key).status_code == 401


def test_a_key_that_lost_its_last_account_opens_none():
    rows = make_rows("hats", "Hemlock Hats", "oTHRk5QmZb7LwR2nVc9Ys0DfHj9Z", "otherwords")
    root = User.objects.create_superuser("root")
    made, key = ApiKey.issue(user=root, scopes=["events:read"], accounts=[make_account("gone")])
    made.accounts.clear()
    assert rows.openid not in get(key).content.decode()


def test_the_page_of_a_key_says_when_it_ends_and_spells_its_name_as_it_is():
    root = User.objects.create_superuser("root")
    made, _ = ApiKey.issue(user=root, scopes=["events:read"], name="nightly")
    page = browser_of(root).get(f"/admin/events/apikey/{made.pk}/change/").content.decode()
    assert f">{timezone.localtime(made.expires_at):%Y-%m-%d}<" in "".join(page.split())
    assert "Nightly" not in page


def test_keys_are_throttled_and_wrong_ones_too(settings, caplog):
    from django.core.cache import caches

    caches["process"].clear()
    settings.API_REQUESTS_PER_MINUTE = 3
    _, key = ApiKey.issue(user=User.objects.create_superuser("root"), scopes=["events:read"])
    assert [get(key).status_code for _ in range(4)] == [200, 200, 200, 429]
    statuses = [get("wrong").status_code for _ in range(22)]
    assert statuses[:20] == [401] * 20
    assert statuses[20:] == [429] * 2
    assert any("reason=key" in message for message in caplog.messages)


def test_the_last_use_of_a_key_has_its_address(settings):
    settings.TRUSTED_PROXIES = 1
    _, key = ApiKey.issue(user=User.objects.create_superuser("root"), scopes=["events:read"])
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "203.0.113.7"}
    Client().get("/api/v1/events/", headers=headers)
    assert ApiKey.objects.get().last_used_from == "203.0.113.7"


def test_the_command_gives_no_scope_beyond_the_users_rights():
    with_role("analyst", "analyst")
    with pytest.raises(CommandError, match="not the rights for messages:read"):
        call_command("create_api_key", "analyst", "--scope", "messages:read")
    User.objects.create_user("nobody")
    with pytest.raises(CommandError, match="no right to read anything"):
        call_command("create_api_key", "nobody")
    call_command("create_api_key", "analyst", "--days", "7", stdout=io.StringIO())
    assert set(ApiKey.objects.get().scopes) == {
        *("accounts:read", "events:read", "scenes:read", "stats:read", "subscribers:read"),
    }


def ask_for(client_key: str, user: str) -> Any:
    return Client().post(
        "/api/v1/binding-requests/",
        {"account": "shop", "user": user},
        content_type="application/json",
        headers={"Authorization": f"Bearer {client_key}"},
    )


def test_a_binding_request_is_made_for_oneself():
    make_account()
    User.objects.create_user("bob")
    alice = User.objects.create_user("alice")
    _, key = ApiKey.issue(user=alice, scopes=["bindings:write", ACT_FOR_USERS])
    assert ask_for(key, "alice").status_code == 201
    # the scope alone is not enough without its owner's right
    assert ask_for(key, "bob").status_code == 403


def test_a_system_makes_requests_for_users_but_never_for_staff():
    make_account()
    User.objects.create_user("bob")
    User.objects.create_user("colleague", is_staff=True)
    system = with_role("system", "administrator")
    _, key = ApiKey.issue(user=system, scopes=["bindings:write", ACT_FOR_USERS])
    _, without = ApiKey.issue(user=system, scopes=["bindings:write"])
    assert ask_for(key, "bob").json()["scene"]
    assert ask_for(key, "colleague").status_code == 403
    assert ask_for(without, "bob").status_code == 403


def test_a_request_made_in_the_admin_is_ones_own_and_shows_no_scene():
    account = make_account()
    bob = User.objects.create_user("bob")
    root = User.objects.create_superuser("root")
    client = browser_of(root)
    form = {"account": account.pk, "user": bob.pk}
    page = client.post("/admin/subscribers/bindingrequest/add/", form, follow=True)
    from subscribers.models import BindingRequest

    made = BindingRequest.objects.get()
    assert made.user == root
    assert made.scene
    assert made.scene not in page.content.decode()

"""Every act of a user or key, and every look at personal data, is in the audit list."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import caches
from django.urls import reverse
from django.utils import timezone

from events.audit.acts import ACTS
from events.models import ApiKey, AuditEntry, EventLog, MediaFile, MenuVersion, OfficialAccount
from events.people.scopes import SCOPES
from events.testing import make_account, make_rule, message_xml, push
from subscribers.models import (
    Binding,
    Erasure,
    FollowerEdit,
    FollowerSync,
    OutgoingMessage,
    ProfileFetch,
    QRScene,
    ReceivedMedia,
    SeenScene,
    Subscriber,
    TagRead,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
)
from wechat_site.tests.launch import ROOT
from wechat_site.tests.signin.world import make_rows

pytestmark = pytest.mark.django_db

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_look_remembered():
    caches["process"].clear()


@pytest.fixture
def account():
    return make_account(mode="plaintext", app_secret="5d41402abc4b2a76b9719d911017c592")


@pytest.fixture
def person(account):
    push(account, message_xml(openid=OPENID, EventKey="qrscene_metro"))
    push(account, message_xml("text", openid=OPENID, Content="a secret word", MsgId="1"))
    return Subscriber.objects.get()


@pytest.fixture
def since():
    """The entries that were made after this fixture, oldest first."""

    def entries():
        return list(AuditEntry.objects.filter(pk__gt=start).order_by("pk"))

    newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first()
    start = newest or 0
    return entries


def acts(entries):
    return [(entry.act, entry.model.partition(".")[2]) for entry in entries]


def action(operator, model, name, *rows):
    listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    chosen = {"action": name, "_selected_action": [row.pk for row in rows]}
    return operator.post(listing, chosen)


def a_binding(person):
    user = User.objects.create_user("alice")
    now = timezone.now()
    return Binding.objects.create(
        account=person.account,
        subscriber=person,
        user=user,
        bound_at=now,
        event_id=1,
        event_time=now,
    )


def a_key(person):
    return ApiKey.issue(user=User.objects.create_user("api"), scopes=["events:read"])[0]


def a_failed_code(person):
    return QRScene.objects.create(
        account=person.account, scene="x", name="Exit", due_at=None, failure="refused",
        failed_at=timezone.now(),
    )  # fmt: skip


def a_code(person):
    return QRScene.objects.create(
        account=person.account, scene="x", name="Exit", due_at=None, ticket="t", url="u"
    )


def a_temporary_code(person):
    return QRScene.objects.create(
        account=person.account, scene="x", name="Exit", is_permanent=False, expire_seconds=60,
        due_at=None, ticket="t", url="u", expires_at=timezone.now(),
    )  # fmt: skip


def a_failed_message(person):
    return OutgoingMessage.objects.create(
        account=person.account, subscriber=person, kind="text", payload={}, state="failed",
        failed_at=timezone.now(), failure="closed", due_at=None, window_until=timezone.now(),
    )  # fmt: skip


def a_failed_sync(person):
    return FollowerSync.objects.create(
        account=person.account, origin="schedule", requested_at=timezone.now(), due_at=None,
        failure="refused", failed_at=timezone.now(),
    )  # fmt: skip


def a_picture(person):
    return MediaFile.objects.create(
        account=person.account, kind="image", title="Poster", file="poster.png",
        content_type="image/png", size=1, due_at=None,
    )  # fmt: skip


def a_delivery(person):
    account = person.account
    endpoint = WebhookEndpoint.objects.create(
        account=account, url="https://shop.example/", types=["event.*"], secret="s"
    )
    message = WebhookMessage.objects.create(account=account, type="event.click", body="{}")
    return WebhookDelivery.objects.create(account=account, endpoint=endpoint, message=message)


FAILED = {"due_at": None, "failure": "refused", "failed_at": timezone.now()}

# All bulk actions of the admin, but for deletions, and how to make a row that they suit.
BULK_ACTIONS = {
    ("events.apikey", "revoke"): a_key,
    ("events.eventlog", "try_again"): lambda person: EventLog.objects.last(),
    ("events.mediafile", "send_now"): a_picture,
    ("subscribers.binding", "unbind"): a_binding,
    ("subscribers.followeredit", "try_again"): lambda person: FollowerEdit.objects.create(
        account=person.account, act="tag", tag_name="x", people=[person.pk], **FAILED
    ),
    ("subscribers.followersync", "try_again"): a_failed_sync,
    ("subscribers.outgoingmessage", "try_again"): a_failed_message,
    ("subscribers.profilefetch", "try_again"): lambda person: ProfileFetch.objects.create(
        account=person.account, due_at=None
    ),
    ("subscribers.qrscene", "compare"): a_code,
    ("subscribers.qrscene", "download_archive"): a_code,
    ("subscribers.qrscene", "download_sheet"): a_code,
    ("subscribers.qrscene", "renew"): a_temporary_code,
    ("subscribers.qrscene", "try_again"): a_failed_code,
    ("subscribers.receivedmedia", "try_again"): lambda person: ReceivedMedia.objects.create(
        account=person.account,
        subscriber=person,
        event_id=1,
        event_time=timezone.now(),
        kind="image",
        **FAILED,
    ),
    ("subscribers.seenscene", "adopt"): lambda person: SeenScene.objects.get(),
    ("subscribers.subscriber", "edit_tags"): lambda person: person,
    ("subscribers.subscriber", "refresh_profiles"): lambda person: person,
    ("subscribers.tagread", "try_again"): lambda person: TagRead.objects.create(
        account=person.account, **FAILED
    ),
    ("subscribers.webhookdelivery", "send_again"): a_delivery,
}


def test_no_bulk_action_is_missing_here():
    offered = {
        (model._meta.label_lower, name)
        for model, model_admin in admin.site._registry.items()
        for name in model_admin.actions or ()
    }
    assert offered == BULK_ACTIONS.keys()


@pytest.mark.parametrize(("table", "act"), BULK_ACTIONS)
def test_a_bulk_action_is_recorded_with_its_rows(operator, person, table, act, request):
    ProfileFetch.objects.all().delete()
    row = BULK_ACTIONS[table, act](person)
    since = request.getfixturevalue("since")
    assert action(operator, type(row), act, row).status_code in {200, 302}
    [entry] = [entry for entry in since() if entry.act == act]
    assert (entry.model, entry.object_id) == (table, str(row.pk))
    assert (entry.user_name, entry.address) == ("operator", "127.0.0.1")


def test_an_action_on_several_rows_names_them(operator, person, since):
    keys = [ApiKey.issue(user=User.objects.create_user(n), scopes=[])[0] for n in "ab"]
    action(operator, ApiKey, "revoke", *keys)
    details = since()[-1].details
    assert details == {"rows": 2, "ids": [str(key.pk) for key in keys]}


def test_an_action_on_all_rows_of_the_list_names_them_all(operator, person, since):
    keys = [ApiKey.issue(user=User.objects.create_user(n), scopes=[])[0] for n in "abc"]
    listing = reverse("admin:events_apikey_changelist")
    chosen = {"action": "revoke", "_selected_action": [keys[0].pk], "select_across": "1"}
    operator.post(listing, chosen)
    assert not ApiKey.objects.filter(revoked_at=None).exists()
    assert since()[-1].details == {"rows": 3, "ids": [str(key.pk) for key in keys]}


def test_the_action_of_either_select_is_recorded(operator, person, since):
    key = ApiKey.issue(user=User.objects.create_user("a"), scopes=[])[0]
    chosen = {"action": ["revoke", ""], "index": "0", "_selected_action": [key.pk]}
    operator.post(reverse("admin:events_apikey_changelist"), chosen)
    assert not ApiKey.objects.filter(revoked_at=None).exists()
    assert since()[-1].act == "revoke"


def test_rows_that_are_deleted_together_have_an_entry_each(operator, account, since):
    rules = [make_rule(account, "text", key=key, content="Hi") for key in "ab"]
    start = len(since())
    listing = reverse("admin:events_replyrule_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [rule.pk for rule in rules]}
    operator.post(listing, chosen)  # only asks
    assert since()[start:] == []
    operator.post(listing, chosen | {"post": "yes"})
    assert acts(since()[start:]) == [("delete", "replyrule")] * 2


def test_looks_at_a_person_are_recorded_and_name_none(operator, person, since):
    event = EventLog.objects.last()
    pages = [
        reverse("admin:subscribers_subscriber_change", args=[person.pk]),
        reverse("admin:events_eventlog_change", args=[event.pk]),
        reverse("admin:subscribers_subscriber_changelist") + f"?q={OPENID}",
        reverse("admin:subscribers_subscriber_changelist") + f"?q={OPENID}",
        reverse("admin:events_replyrule_changelist"),
        reverse("admin:subscribers_subscriber_export_personal_data", args=[person.pk]),
    ]
    for page in pages:
        assert operator.get(page).status_code == 200
    entries = since()
    assert acts(entries) == [
        ("look", "subscriber"), ("look", "eventlog"), ("list", "subscriber"),
        ("export", "subscriber"),
    ]  # fmt: skip
    assert entries[2].details == {"filters": ["q"]}
    said = "".join(f"{entry.object_name}{entry.changes}{entry.details}" for entry in entries)
    assert OPENID not in said
    assert "secret word" not in said


def test_erasure_renewal_sync_and_tasks(operator, person, since):
    account = person.account
    change = reverse("admin:events_officialaccount_change", args=[account.pk])
    operator.post(change.replace("change/", "renew-callback-key/"))
    operator.post(
        reverse("admin:subscribers_subscriber_erase_personal_data", args=[person.pk]),
        {"openid": OPENID},
    )
    operator.post(reverse("admin:subscribers_followersync_add"), {"account": account.pk})
    operator.post(reverse("admin:events_taskrun_run_now") + "?task=retention")
    found = [pair for pair in acts(since()) if pair[0] not in {"look", "list"}]
    renewed = [("renew_callback_key", "officialaccount")] if found[0][0] != "erase" else []
    assert found == [
        *renewed, ("erase", "erasure"), ("add", "followersync"), ("run", "taskrun")
    ]  # fmt: skip
    erasure = next(entry for entry in since() if entry.act == "erase")
    assert erasure.object_name == Erasure.objects.get().pseudonym
    assert erasure.user_name == "operator"


@pytest.mark.parametrize(
    ("page", "table", "act"),
    [
        ("events_eventlog_try_this_again", "events.eventlog", "try_again"),
        ("events_menuversion_ask", "events.officialaccount", "ask"),
        (
            "events_officialaccount_renew_callback_key",
            "events.officialaccount",
            "renew_callback_key",
        ),
        ("subscribers_qrscene_fetch", "subscribers.qrscene", "renew"),
        ("events_replyrule_delete", "events.replyrule", "delete"),
        ("subscribers_qrscene_delete", "subscribers.qrscene", "delete"),
        ("subscribers_outgoingmessage_try_this_again", "subscribers.outgoingmessage", "try_again"),
    ],
)
def test_a_page_that_acts_records_it_once(operator, page, table, act, request):
    rows = make_rows("books", "Birch Books", OPENID, "ownwords")
    OfficialAccount.objects.update(app_secret="0" * 32)
    since = request.getfixturevalue("since")
    address = reverse(f"admin:{page}", args=[rows.rows[table].pk])
    assert operator.get(address).status_code in {200, 405}
    assert act not in {entry.act for entry in since()}
    assert operator.post(address, {"post": "yes"}).status_code == 302
    [entry] = [entry for entry in since() if entry.act == act]
    assert (entry.user_name, entry.account_id) == ("operator", rows.account.pk)


@pytest.mark.parametrize(
    ("columns", "page", "act"),
    [
        ({"due_at": None}, "publish_version", "publish"),
        ({"due_at": timezone.now()}, "withdraw_version", "withdraw"),
        ({"due_at": None, "published_at": timezone.now()}, "take_version_back", "take_back"),
    ],
)
def test_what_is_done_with_a_menu_is_recorded_once(operator, account, columns, page, act, since):
    menu = {"button": [{"type": "click", "name": "Hello", "key": "K"}]}
    version = MenuVersion.objects.create(account=account, menu=menu, **columns)
    address = reverse(f"admin:events_menuversion_{page}", args=[version.pk])
    asked = operator.get(address).context
    assert operator.post(address, {"seen": asked.get("seen", "")}).status_code == 302
    [entry] = since()
    assert (entry.act, entry.model, entry.user_name) == (act, "events.menuversion", "operator")
    assert entry.account_id == account.pk


def test_a_message_from_the_admin_is_recorded_without_its_text(operator, person, since):
    Subscriber.objects.update(last_followed_at=timezone.now())
    push(person.account, message_xml("text", openid=OPENID, Content="x", MsgId="2", at=None))
    page = reverse("admin:subscribers_subscriber_write", args=[person.pk])
    response = operator.post(page, {"kind": "text", "content": "our secret answer"})
    assert response.status_code == 302, response.content.decode()
    [entry] = [entry for entry in since() if entry.act == "write"]
    assert (entry.model, entry.object_id) == ("subscribers.subscriber", str(person.pk))
    assert "secret" not in f"{entry.changes}{entry.details}{entry.object_name}"


def test_exports_of_the_admin_are_recorded(operator, account, since):
    operator.get(reverse("admin:events_auditentry_export"))
    operator.get(reverse("dashboard_download"), {"table": "texts"})
    rows = make_rows("books", "Birch Books", OPENID, "ownwords")
    erasure = rows.rows["subscribers.erasure"]
    operator.get(reverse("admin:subscribers_erasure_download_receipt", args=[erasure.pk]))
    exports = [pair for pair in acts(since()) if pair[0] == "export"]
    assert exports == [("export", "auditentry"), ("export", "eventlog"), ("export", "erasure")]


def test_a_role_that_is_changed_in_the_admin(operator, since):
    group = Group.objects.create(name="Agents")
    permission = Permission.objects.get(codename="change_replyrule")
    start = len(since())
    form = {"name": "Helpers", "permissions": [permission.pk]}
    page = reverse("admin:auth_group_change", args=[group.pk])
    assert operator.post(page, form).status_code == 302
    assert [entry.changes for entry in since()[start:]] == [
        {"name": ["Agents", "Helpers"]}, {"permissions": [[], ["events.change_replyrule"]]}
    ]  # fmt: skip


def test_sign_ins_and_failures_with_their_addresses(client, since):
    user = User.objects.create_superuser("ops", password=PASSWORD)
    login = reverse("account_login")
    client.post(login, {"username": "ops", "password": "wrong"})
    client.post(login, {"username": "ops", "password": PASSWORD})
    client.post(reverse("account_logout"))
    Authenticator.objects.create(user=user, type="totp", data={"secret": "s3cr3t"})
    found = [entry for entry in since() if entry.act != "add"]
    assert [(entry.act, entry.user_name, entry.address) for entry in found] == [
        ("sign_in_failed", "ops", "127.0.0.1"),
        ("sign_in", "ops", "127.0.0.1"),
        ("sign_out", "ops", "127.0.0.1"),
    ]
    assert found[0].details == {"reason": "password"}
    assert found[0].user_id is None
    factor = AuditEntry.objects.get(model="mfa.authenticator")
    assert "s3cr3t" not in str(factor.changes)


@pytest.mark.slow
def test_a_stranger_who_goes_on_against_the_lock_writes_one_entry(client, db):
    User.objects.create_superuser("ops", password=PASSWORD)
    for _ in range(8):
        client.post(reverse("account_login"), {"username": "ops", "password": "wrong"})
    failures = AuditEntry.objects.filter(act="sign_in_failed").order_by("pk")
    reasons = [entry.details["reason"] for entry in failures]
    assert reasons == ["password"] * 5 + ["locked"]


def test_wrong_keys_of_an_address_are_one_entry(client, since):
    for _ in range(3):
        assert (
            client.get("/api/v1/events/", headers={"Authorization": "Bearer x"}).status_code == 401
        )
    assert [(entry.act, entry.details, entry.address) for entry in since()] == [
        ("sign_in_failed", {"reason": "key"}, "127.0.0.1")
    ]


def test_roles_that_are_given_in_the_admin(operator, since):
    user, group = User.objects.create_user("new"), Group.objects.create(name="Agents")
    start = len(since())
    form = {"username": "new", "is_active": "on", "groups": [group.pk], "is_staff": "on"}
    form |= {"date_joined_0": "2026-11-01", "date_joined_1": "00:00:00"}
    form |= {"account_limit-TOTAL_FORMS": "0", "account_limit-INITIAL_FORMS": "0"}
    form |= {"wechat_bindings-TOTAL_FORMS": "0", "wechat_bindings-INITIAL_FORMS": "0"}
    assert operator.post(reverse("admin:auth_user_change", args=[user.pk]), form).status_code == 302
    changes = [entry.changes for entry in since()[start:]]
    assert changes == [{"is_staff": [False, True]}, {"groups": [[], ["Agents"]]}]


# --- Keys -----------------------------------------------------------------------------------------


@pytest.fixture
def api(client):
    _, key = ApiKey.issue(
        user=User.objects.create_superuser("warehouse"), scopes=list(SCOPES), name="nightly"
    )
    asked = {"Authorization": f"Token {key}"}

    class Api:
        def get(self, path):
            return client.get(f"/api/v1/{path}", headers=asked)

        def patch(self, path, data):
            return client.patch(
                f"/api/v1/{path}", data, content_type="application/json", headers=asked
            )

        def delete(self, path):
            return client.delete(f"/api/v1/{path}", headers=asked)

        def post(self, path, data):
            return client.post(
                f"/api/v1/{path}", data, content_type="application/json", headers=asked
            )

    return Api()


def test_what_a_key_writes(api, account, since):
    made = api.post("scenes/", {"account": "shop", "name": "Exit", "scene": "exit"})
    assert made.status_code == 201
    [entry] = since()
    assert (entry.act, entry.model, entry.object_id) == (
        "add", "subscribers.qrscene", str(made.json()["id"]),
    )  # fmt: skip
    assert (entry.way, entry.user_name, entry.key_name) == ("api", "warehouse", "nightly")
    assert api.post("scenes/", {"account": "shop", "nope": 1}).status_code == 400
    assert api.post(f"scenes/{made.json()['id']}/renew/", {}).status_code == 400
    assert len(since()) == 1


def test_a_key_that_changes_a_webhook_makes_one_entry_each_time(api, account, since):
    given = {"account": "shop", "url": "https://a.example/", "types": ["event.*"]}
    webhook = f"webhooks/{api.post('webhooks/', given).json()['id']}/"
    assert api.patch(webhook, {"types": ["message.received"]}).status_code == 200
    assert api.delete(webhook).status_code == 204
    entries = since()
    assert [entry.act for entry in entries] == ["add", "change", "delete"]
    assert {entry.object_name for entry in entries} == {"https://a.example"}
    assert {(entry.key_name, entry.account_id) for entry in entries} == {("nightly", account.pk)}


def test_what_a_key_looks_at_and_exports(api, person, since):
    assert api.get(f"subscribers/{person.pk}/").status_code == 200
    for _ in range(2):
        assert api.get(f"subscribers/?openid={OPENID}").status_code == 200
    assert api.get("events/export/?format=csv").status_code == 200
    assert api.get("accounts/").status_code == 200
    assert api.get("subscribers/?nope=1").status_code == 400
    entries = since()
    assert acts(entries) == [
        ("look", "subscriber"), ("list", "subscriber"), ("export", "eventlog")
    ]  # fmt: skip
    assert entries[1].details == {"filters": ["openid"]}
    assert {entry.key_name for entry in entries} == {"nightly"}


def test_each_act_that_the_code_records_has_words():
    recorded = re.compile(r'\b(?:record|recorded_as|_change)\((?:request, \w+, )?\s*"(\w+)"')
    found = set()
    for app in ("events", "subscribers", "wechat_site"):
        for module in (ROOT / app).rglob("*.py"):
            if "tests" not in module.parts:
                found.update(recorded.findall(module.read_text()))
    # A bulk action records itself by its name.
    found |= {act for _table, act in BULK_ACTIONS}
    assert {"done", "erase", "adopt_original_id"} <= found
    assert found - ACTS.keys() == set()

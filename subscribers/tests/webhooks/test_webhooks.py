"""Other systems are told of what happens, each time and signed."""

from __future__ import annotations

import datetime
import json
import socket
import threading
import time

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, connections, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook

from events.delays import WEBHOOK
from events.models import ApiKey, AuditEntry, EventLog, OfficialAccount
from events.people.scopes import scopes_of
from events.testing import make_account, message_xml, push
from subscribers.api.webhooks import WebhookViewSet
from subscribers.models import (
    Binding,
    OutgoingMessage,
    QRScene,
    Subscriber,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLateEvent,
    WebhookMessage,
    WebhookPosition,
)
from subscribers.personal_data.collect import collect
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.tests.locks import wait_for_a_lock
from subscribers.tests.webhooks.meanwhile import before_update
from subscribers.tests.webhooks.receiver import Receiver
from subscribers.webhooks import endpoint_standing, post
from subscribers.webhooks.endpoints import make_endpoint, rotate_secret
from subscribers.webhooks.event_types import TYPES, types_of
from subscribers.webhooks.personal_deliveries import forget_old_messages
from subscribers.webhooks.replay import chosen, send_again, send_test
from subscribers.webhooks.send_deliveries import DeliveryQueue, send_due
from subscribers.webhooks.write import write_messages

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
ALL = list(TYPES)


def send_all() -> None:
    while send_due():
        pass


def later(**time_: int) -> None:
    """Moves all that waits nearer by so much time."""
    moved = datetime.timedelta(**time_)
    WebhookDelivery.objects.exclude(due_at=None).update(due_at=F("due_at") - moved)
    for endpoint in WebhookEndpoint.objects.all():
        columns = {
            name: at - moved
            for name in ("retry_at", "failing_since", "paused_at")
            if (at := getattr(endpoint, name)) is not None
        }
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**columns)


def events(account: OfficialAccount) -> bytes:
    """Four pushes, of which the text is returned."""
    push(account, message_xml("event.subscribe", openid=OPENID, EventKey="qrscene_poster"))
    hello = message_xml("text", openid=OPENID, Content="Hello", MsgId=1)
    push(account, hello)
    push(account, message_xml("event.SCAN", openid=OPENID, EventKey="poster", Ticket="t"))
    push(account, message_xml("event.unsubscribe", openid=OPENID))
    return hello


@pytest.fixture
def key(db) -> Client:
    user = User.objects.create_superuser("ops")
    _, text = ApiKey.issue(user=user, scopes=scopes_of(user))
    return Client(headers={"Authorization": f"Token {text}"})


# --- What is told --------------------------------------------------------------------------------


def test_events_arrive_signed_and_once(account: OfficialAccount, receiver: Receiver):
    push(account, message_xml("text", openid=OPENID, Content="before", MsgId=9))
    endpoint = make_endpoint(account, receiver.url, ALL)
    hello = events(account)
    push(account, hello)  # WeChat's retry
    assert write_messages() == 7
    assert write_messages() == 0
    send_all()
    told = sorted(body["type"] for body in receiver.bodies)
    assert told == [
        "event.scan", "event.subscribe", "event.unsubscribe", "follower.followed",
        "follower.seen_scan", "follower.unfollowed", "message.received",
    ]  # fmt: skip
    for _path, headers, body in receiver.requests:
        said = Webhook(endpoint.secret).verify(body, headers)
        event = EventLog.objects.get(pk=said["data"]["event_id"])
        assert said["data"] | {"account": "shop", "openid": OPENID} == said["data"]
        assert said["data"]["kind"] == event.kind
    written = next(body for body in receiver.bodies if body["type"] == "message.received")
    assert written["data"]["payload"]["Content"] == "Hello"
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 7
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"sent"}


def test_each_endpoint_is_told_its_types_of_its_account(account: OfficialAccount):
    other = make_account("hats", mode="plaintext", original_id="gh_other")
    wanted = {
        make_endpoint(account, "https://a.example/", ["follower.followed"]): ["follower.followed"],
        make_endpoint(account, "https://b.example/", ["event.scan"]): ["event.scan"],
        make_endpoint(account, "https://c.example/", ["message.failed"]): [],
        make_endpoint(other, "https://d.example/", ALL): [],
    }
    events(account)
    write_messages()
    for endpoint, types in wanted.items():
        told = endpoint.deliveries.values_list("message__type", flat=True)
        assert list(told) == types


def test_what_a_kind_of_the_log_is_called():
    assert types_of("event.unheard_of") == ["event.unheard_of"]
    assert types_of("a_new_kind_of_message") == ["message.received"]
    assert types_of("reconcile.unfollow") == ["follower.unfollowed"]
    assert types_of("import.follower") == types_of("unreadable") == []


def test_bindings_messages_and_codes_are_told_of(account: OfficialAccount, receiver: Receiver):
    make_endpoint(account, receiver.url, ALL)
    now = timezone.now()
    follower = Subscriber.objects.create(account=account, openid=OPENID, updated_at=now)
    user = User.objects.create_user("customer")
    binding = Binding.objects.create(
        account=account, subscriber=follower, user=user, bound_at=now, event_id=7, event_time=now
    )
    Binding.objects.filter(pk=binding.pk).update(unbound_at=now)
    message = OutgoingMessage.objects.create(
        account=account, subscriber=follower, kind="text", payload={}, window_until=now
    )
    OutgoingMessage.objects.filter(pk=message.pk).update(
        state="failed", failure="not_following", due_at=None
    )
    scene = QRScene.objects.create(account=account, scene="poster", name="Poster")
    QRScene.objects.filter(pk=scene.pk).update(due_at=None, url="https://weixin.example/q/1")
    write_messages()
    send_all()
    said = {body["type"]: body["data"] for body in receiver.bodies}
    assert set(said) == {"binding.created", "binding.ended", "message.failed", "scene.ready"}
    assert said["binding.created"]["event_id"] == 7
    assert said["binding.ended"]["user"] == "customer"
    assert said["message.failed"]["failure"] == "not_following"
    assert said["scene.ready"] | {"scene": "poster", "openid": ""} == said["scene.ready"]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_told(account: OfficialAccount):
    make_endpoint(account, "https://a.example/", ALL)
    now = timezone.now()
    follower = Subscriber.objects.create(account=account, openid=OPENID, updated_at=now)
    with transaction.atomic():
        Binding.objects.create(
            account=account, subscriber=follower, bound_at=now, event_id=7, event_time=now
        )
        transaction.set_rollback(True)
    assert write_messages() == 0


def test_an_event_is_told_once_it_is_folded(account: OfficialAccount):
    make_endpoint(account, "https://a.example/", ["message.received"])
    push(account, message_xml("text", openid=OPENID, Content="Hello", MsgId=1))
    folded_at = EventLog.objects.get().folded_at
    EventLog.objects.update(folded_at=None)
    assert write_messages() == 0
    EventLog.objects.update(folded_at=folded_at)
    WebhookLateEvent.objects.update(looked_at=timezone.now() - datetime.timedelta(minutes=1))
    assert write_messages() == 1
    assert not WebhookLateEvent.objects.exists()


def test_a_binding_code_is_not_told(account: OfficialAccount):
    make_endpoint(account, "https://a.example/", ALL)
    scene = "bind-0123456789abcdef0123456789abcdef"
    push(account, message_xml("event.SCAN", openid=OPENID, EventKey=scene, Ticket="gQTsecret"))
    write_messages()
    bodies = " ".join(WebhookMessage.objects.values_list("body", flat=True))
    assert bodies
    assert scene not in bodies
    assert "gQTsecret" not in bodies


# --- Failures ------------------------------------------------------------------------------------


@pytest.fixture
def delivery(account: OfficialAccount, receiver: Receiver) -> WebhookDelivery:
    make_endpoint(account, receiver.url, ["message.received"])
    push(account, message_xml("text", openid=OPENID, Content="Hello", MsgId=1))
    write_messages()
    return WebhookDelivery.objects.get()


@pytest.mark.parametrize(
    ("status", "headers", "failure"),
    [
        (500, {}, "refused"),
        (302, {"Location": "/elsewhere"}, "redirect"),
        (503, {"Retry-After": "600"}, "refused"),
    ],
)
def test_a_failure_is_kept_and_tried_again(delivery, receiver, status, headers, failure):
    receiver.answer = lambda path, body: (status, headers, b"no" * 5000)
    send_all()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.failure) == ("waiting", failure)
    waits = (delivery.due_at - timezone.now()).total_seconds()
    assert waits == pytest.approx(600 if headers.get("Retry-After") else 5, abs=4)
    assert [path for path, *_ in receiver.requests] == ["/hook"]
    [attempt] = WebhookAttempt.objects.all()
    assert attempt.status == status
    assert 0 < len(attempt.answer) <= 2048
    assert attempt.headers["webhook-id"] == delivery.message.message_id
    receiver.answer = lambda path, body: (204, {}, b"")
    later(hours=1)
    send_all()
    delivery.refresh_from_db()
    assert delivery.state == "sent"
    assert delivery.tries.count() == 2


@pytest.mark.slow
def test_after_three_days_it_has_failed_and_can_be_sent_again(delivery, receiver):
    receiver.answer = lambda path, body: (400, {}, b"")
    # Other messages arrive, so the endpoint does not fail.
    for _ in range(len(WEBHOOK) + 1):
        later(days=2)
        send_due()
        WebhookEndpoint.objects.update(failures=0, retry_at=None, failing_since=None)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.due_at) == ("failed", None)
    assert sum(WEBHOOK, datetime.timedelta()) > datetime.timedelta(days=2, hours=20)
    assert DeliveryQueue().failures(timezone.now()) == {"refused": 1}
    receiver.answer = lambda path, body: (200, {}, b"")
    assert DeliveryQueue().try_again("refused", timezone.now()) == 1
    send_all()
    delivery.refresh_from_db()
    assert delivery.state == "sent"


def test_a_held_delivery_has_not_failed(delivery, receiver):
    receiver.answer = lambda path, body: (410, {}, b"")
    send_all()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.failure) == ("held", "gone")
    WebhookEndpoint.objects.update(is_active=True, paused_at=timezone.now())
    assert DeliveryQueue().failures(timezone.now()) == {}


def test_a_failure_is_shown_while_its_endpoint_gets_nothing(delivery):
    WebhookDelivery.objects.update(
        state="failed", due_at=None, failure="refused", failed_at=timezone.now()
    )
    soon = timezone.now() + datetime.timedelta(minutes=5)
    WebhookEndpoint.objects.update(failures=endpoint_standing.FAILING, retry_at=soon)
    assert DeliveryQueue().failures(timezone.now()) == {"refused": 1}
    assert DeliveryQueue().try_again("refused", timezone.now()) == 1
    assert DeliveryQueue().waiting() == 0


def test_410_turns_it_off(delivery, receiver):
    receiver.answer = lambda path, body: (410, {}, b"")
    send_all()
    endpoint = WebhookEndpoint.objects.get()
    delivery.refresh_from_db()
    assert (endpoint.is_active, endpoint.stopped_because) == (False, "gone")
    assert delivery.state == "held"
    push(delivery.account, message_xml("text", openid=OPENID, Content="more", MsgId=2))
    assert write_messages() == 0


@pytest.mark.slow
def test_an_endpoint_that_is_away_is_paused_and_gets_its_backlog(delivery, receiver):
    account = delivery.account
    receiver.answer = lambda path, body: (500, {}, b"")
    for number in range(2, 20):
        push(account, message_xml("text", openid=OPENID, Content="x", MsgId=number))
    write_messages()
    for _ in range(8):
        send_all()
        later(minutes=10)
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.paused_at is not None
    assert WebhookDelivery.objects.filter(state="waiting").count() == 0
    WebhookEndpoint.objects.update(retry_at=timezone.now() + datetime.timedelta(minutes=5))
    push(account, message_xml("text", openid=OPENID, Content="x", MsgId=20))
    write_messages()
    assert WebhookDelivery.objects.filter(state="held").count() >= 19
    # One of them tries whether it is back.
    before = len(receiver.requests)
    later(minutes=10)
    write_messages()
    send_all()
    assert len(receiver.requests) == before + 1
    receiver.answer = lambda path, body: (200, {}, b"")
    later(minutes=10)
    write_messages()
    send_all()
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"sent"}
    endpoint.refresh_from_db()
    assert (endpoint.paused_at, endpoint.failures) == (None, 0)


def test_a_failing_endpoint_gets_one_request_at_a_time(account, receiver):
    make_endpoint(account, receiver.url, ["message.received"])
    WebhookEndpoint.objects.update(failures=endpoint_standing.FAILING)
    for number in range(10):
        push(account, message_xml("text", openid=OPENID, Content="x", MsgId=number))
    receiver.answer = lambda path, body: (500, {}, b"")
    write_messages()
    assert send_due() == 1
    assert send_due() == 0
    assert not DeliveryQueue().is_due(timezone.now())


@pytest.mark.slow
def test_no_answer_in_time(delivery, receiver, settings):
    settings.WEBHOOK_SECONDS = 0.2

    def answer(path, body):
        time.sleep(0.5)
        return 200, {}, b""

    receiver.answer = answer
    send_all()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.failure) == ("waiting", "timeout")


def test_a_delivery_of_a_killed_worker_is_sent_when_its_lease_ends(delivery, receiver):
    now = timezone.now()
    WebhookDelivery.objects.all().claim(now, limit=1, lease=datetime.timedelta(seconds=30))
    assert send_due() == 0
    WebhookDelivery.objects.update(leased_until=now)
    assert send_due() == 1


# --- Addresses -----------------------------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        *[
            (address, False)
            for address in (
                *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
                *("0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1"),
                *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"),
            )
        ],
    ],
)
def test_private_addresses_are_known(address, is_allowed, settings):
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    assert post.is_allowed(address) is is_allowed


def test_a_private_address_is_refused_when_it_is_connected_to(
    delivery, receiver, settings, monkeypatch
):
    """Whatever the name led to before."""
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    post._pool.cache_clear()
    WebhookEndpoint.objects.update(url=receiver.url.replace("127.0.0.1", "hooks.example"))
    port = int(receiver.url.rsplit(":", 1)[1].split("/")[0])
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    send_all()
    delivery.refresh_from_db()
    assert (delivery.failure, receiver.requests) == ("address", [])
    assert "127.0.0.1" not in delivery.failure_text


# --- People --------------------------------------------------------------------------------------


def test_erasing_a_person_erases_what_was_told_of_them(account, receiver):
    make_endpoint(account, receiver.url, ALL)
    events(account)
    push(account, message_xml("text", openid="oOther", Content="Hello", MsgId=5))
    write_messages()
    assert len(collect(account, OPENID)["webhook_messages"]) == 7
    erase(request_erasure(account, OPENID, reason="requested", by=None))
    assert set(WebhookMessage.objects.values_list("openid", flat=True)) == {"oOther"}
    send_all()
    assert {body["data"]["openid"] for body in receiver.bodies} == {"oOther"}


def test_old_deliveries_are_removed(delivery, settings):
    send_all()
    assert forget_old_messages() == 0
    long_ago = timezone.now() - datetime.timedelta(settings.WEBHOOK_RETENTION_DAYS + 1)
    WebhookMessage.objects.update(created_at=long_ago)
    assert forget_old_messages() == 1
    assert not WebhookDelivery.objects.exists()
    assert not WebhookAttempt.objects.exists()


# --- Secrets, replay, the API --------------------------------------------------------------------


def test_for_a_day_both_secrets_sign(account, receiver):
    endpoint = make_endpoint(account, receiver.url, ALL)
    old = endpoint.secret
    new = rotate_secret(endpoint)
    send_test(endpoint)
    send_all()
    WebhookEndpoint.objects.update(previous_until=timezone.now())
    send_test(endpoint)
    send_all()
    (_, first, body), (_, second, other) = receiver.requests
    for secret in (old, new):
        assert Webhook(secret).verify(body, first)["type"] == "webhook.test"
    Webhook(new).verify(other, second)
    assert len(second["webhook-signature"].split()) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret, previous_secret FROM subscribers_webhookendpoint")
        assert "whsec_" not in str(cursor.fetchall())


def test_a_second_rotation_keeps_the_secret_of_the_first(account):
    endpoint = make_endpoint(account, "https://a.example/", ALL)
    # Two requests have read the webhook before either changes it.
    requests = [WebhookEndpoint.objects.get() for _ in range(2)]
    first, second = map(rotate_secret, requests)
    endpoint.refresh_from_db()
    assert endpoint.secrets_at(timezone.now()) == [second, first]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_rotation_waits_for_another():
    endpoint = make_endpoint(make_account(mode="plaintext"), "https://a.example/", ALL)
    secrets = []

    def run():
        try:
            secrets.append(rotate_secret(WebhookEndpoint.objects.get()))
        finally:
            connections.close_all()

    other = threading.Thread(target=run)
    with transaction.atomic():
        first = rotate_secret(endpoint)
        other.start()
        wait_for_a_lock(other)
    other.join()
    endpoint.refresh_from_db()
    assert endpoint.secrets_at(timezone.now()) == [*secrets, first]


@pytest.mark.parametrize("act", ["activate", "change"])
def test_the_api_keeps_what_another_process_writes_meanwhile(account, key, act):
    endpoint = make_endpoint(account, "https://a.example/", ALL)
    same = WebhookEndpoint.objects.get()
    address = f"/api/v1/webhooks/{endpoint.pk}/"
    with before_update(WebhookEndpoint._meta.db_table, lambda: rotate_secret(same)):
        if act == "activate":
            answer = key.post(f"{address}activate/", {}, content_type="application/json")
        else:
            new = {"url": "https://b.example/"}
            answer = key.patch(address, new, content_type="application/json")
    assert answer.status_code == 200
    endpoint.refresh_from_db()
    assert endpoint.secret == same.secret
    assert endpoint.previous_until == same.previous_until
    assert endpoint.url == ("https://a.example/" if act == "activate" else "https://b.example/")


def test_the_api_makes_shows_and_replays(account, receiver, key):
    given = {"url": receiver.url, "types": ["message.received"], "account": "shop"}
    made = key.post("/api/v1/webhooks/", given, content_type="application/json")
    assert made.status_code == 201, made.json()
    assert made["Cache-Control"] == "no-store"
    address, secret = f"/api/v1/webhooks/{made.json()['id']}/", made.json()["secret"]
    assert secret.startswith("whsec_")
    assert secret not in key.get(address).content.decode()
    push(account, message_xml("text", openid=OPENID, Content="Hello", MsgId=1))
    write_messages()
    send_all()
    [delivery] = key.get(f"{address}deliveries/").json()["results"]
    assert (delivery["state"], delivery["attempts"][0]["status"]) == ("sent", 200)
    assert json.loads(delivery["payload"])["data"]["openid"] == OPENID

    def again(**body):
        return key.post(f"{address}redeliver/", body, content_type="application/json")

    assert again().json() == {"deliveries": 0}
    assert again(deliveries=[delivery["id"]]).json() == {"deliveries": 1}
    send_all()
    assert again(successes=True, **{"from": delivery["created_at"]}).json() == {"deliveries": 1}
    send_all()
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    assert len(receiver.requests) == 3

    def act(name):
        return key.post(f"{address}{name}/", {}, content_type="application/json")

    assert act("test").status_code == 202
    send_all()
    assert receiver.bodies[-1]["type"] == "webhook.test"
    newest = key.get(f"{address}deliveries/", {"page_size": 1}).json()
    assert [each["type"] for each in newest["results"]] == ["webhook.test"]
    assert [each["id"] for each in key.get(newest["next"]).json()["results"]] == [delivery["id"]]
    assert key.get(f"{address}deliveries/", {"pagesize": 1}).status_code == 400
    assert key.post(f"{address}test/?again=1").status_code == 400
    fresh = act("rotate-secret").json()["secret"]
    assert fresh != secret
    off = key.patch(address, {"is_active": False}, content_type="application/json").json()
    assert off["is_active"] is False
    assert act("activate").json()["is_active"] is True
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"add", "send_again", "send_test", "rotate_secret", "activate"} <= acts
    assert key.delete(address).status_code == 204
    written = str(list(AuditEntry.objects.values_list("changes", "details")))
    assert secret not in written
    assert fresh not in written


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://a.example/"},
        {"url": "https://user:pass@a.example/"},
        {"url": "https://"},
        {"types": []},
        {"types": ["follower.danced"]},
        {"types": "event.*"},
        {"account": "nobody"},
        {"secret": "whsec_mine"},
    ],
)
def test_the_api_refuses(account, key, wrong):
    given = {"url": "https://a.example/", "types": ["event.*"], "account": "shop"} | wrong
    answer = key.post("/api/v1/webhooks/", given, content_type="application/json")
    assert answer.status_code == 400
    assert not WebhookEndpoint.objects.exists()


def test_the_api_needs_the_permission_that_the_admin_needs(account):
    user = User.objects.create_user("lin")
    _, key = ApiKey.issue(user=user, scopes=["webhooks:read", "webhooks:write"])
    client = Client(headers={"Authorization": f"Bearer {key}"})

    def allow(*acts):
        names = [f"{act}_webhookendpoint" for act in acts]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))

    allow("view", "add")
    given = {"url": "https://a.example/", "types": ["event.*"], "account": "shop"}
    made = client.post("/api/v1/webhooks/", given, content_type="application/json")
    address = f"/api/v1/webhooks/{made.json()['id']}/"
    of_all = {act.url_path for act in WebhookViewSet.get_extra_actions() if "post" in act.mapping}
    assert of_all == {"activate", "redeliver", "rotate-secret", "test"}

    def changes():
        posts = [
            client.post(f"{address}{name}/", content_type="application/json") for name in of_all
        ]
        new = {"url": "https://b.example/"}
        return [client.patch(address, new, content_type="application/json"), *posts]

    refused = [*changes(), client.delete(address)]
    assert {answer.status_code for answer in refused} == {403}
    assert {answer["Content-Type"] for answer in refused} == {"application/problem+json"}
    assert "subscribers.delete_webhookendpoint" in refused[-1].json()["detail"]
    assert WebhookEndpoint.objects.get().url == "https://a.example/"
    allow("view", "add", "delete")
    assert {answer.status_code for answer in changes()} == {403}
    allow("view", "add", "change")
    assert {answer.status_code for answer in changes()} == {200, 202}
    assert client.delete(address).status_code == 403
    allow("view", "add", "delete")
    assert client.delete(address).status_code == 204


def test_a_span_is_sent_again(delivery):
    send_all()
    endpoint, at = delivery.endpoint, delivery.created_at
    hour = datetime.timedelta(hours=1)
    assert chosen(endpoint, begin=at - hour, end=at + hour).count() == 0
    rows = chosen(endpoint, begin=at - hour, end=at + hour, with_successes=True)
    assert chosen(endpoint, begin=at + hour, with_successes=True).count() == 0
    assert send_again(rows, timezone.now()) == 1
    assert WebhookPosition.objects.count() == 1


def test_a_delivery_claimed_meanwhile_is_not_sent_again(delivery):
    WebhookEndpoint.objects.update(is_active=False)
    rows = WebhookDelivery.objects.all()
    claimed = []

    def claim():
        lease = datetime.timedelta(seconds=30)
        claimed.extend(rows.claim(timezone.now(), limit=1, lease=lease))

    with before_update(WebhookDelivery._meta.db_table, claim):
        assert send_again(rows, timezone.now()) == 0
    assert (rows.get().state, rows.get().lease) == ("waiting", claimed[0].lease)


def test_an_attempt_ends_though_its_webhook_was_deleted_meanwhile(account):
    endpoint = make_endpoint(account, "https://gone.example/", ALL)
    WebhookEndpoint.objects.all().delete()
    endpoint_standing.note_failures(endpoint, 1, timezone.now())
    endpoint_standing.stop(endpoint, WebhookEndpoint.Stopped.GONE)
    assert not WebhookEndpoint.objects.exists()

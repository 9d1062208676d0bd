from __future__ import annotations

import datetime
import logging
import re
import threading
import time
from collections import Counter
from pathlib import Path
from unittest import mock
from urllib.parse import urlencode

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from events.callback import receive, refusals
from events.callback.callback_address import callback_path
from events.log.registry import reply_handler
from events.models import CallbackRefusal, EventLog, OfficialAccount
from events.testing import (
    AES_KEY,
    FrontClient,
    make_account,
    make_rule,
    message_xml,
    push,
    reply_in,
)
from events.wechat import SealingKey, TextReply, seal
from events.wechat.signature import sign
from subscribers.models import Subscriber

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]


@pytest.fixture(autouse=True)
def door(request, monkeypatch):
    """Tests go through the door before Django, as pushes do on a running site."""
    door = getattr(request, "param", FrontClient)
    monkeypatch.setattr("events.testing.Client", door)
    monkeypatch.setattr("events.tests.callback.test_callback.Client", door)


# For all that a door itself does: reading the request, and every kind of answer.
both_doors = pytest.mark.parametrize(
    "door", [Client, FrontClient], ids=["view", "front"], indirect=True
)


PAYLOADS = sorted((Path(__file__).parents[1] / "wechat" / "payloads").glob("*.xml"))
MODES = ["plaintext", "compatible", "safe"]


@pytest.fixture(params=MODES)
def account(request):
    return make_account(mode=request.param)


@pytest.fixture
def safe():
    return make_account(mode="safe")


@pytest.fixture
def plain():
    return make_account(mode="plaintext")


def verify(account: OfficialAccount, *, slash: bool = True, **change: str):
    query = {"timestamp": "1714036504", "nonce": "1514711492", "echostr": "4375120948345356249"}
    query["signature"] = sign(account.token, query["timestamp"], query["nonce"])
    path = callback_path(account) if slash else callback_path(account).rstrip("/")
    return Client().get(path, query | change)


# --- Verifying the URL -------------------------------------------------------------------------


@both_doors
@pytest.mark.parametrize("slash", [True, False])
def test_the_echo_is_plain_text_in_every_mode(account, slash):
    response = verify(account, slash=slash)
    assert (response.status_code, response.content) == (200, b"4375120948345356249")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_wrong_signature_gets_no_echo(account):
    response = verify(account, signature="0" * 40)
    assert response.status_code == 403
    assert b"4375120948345356249" not in response.content


# --- Storing -----------------------------------------------------------------------------------


@both_doors
def test_a_push_is_stored_and_acknowledged(account):
    xml = message_xml("event.subscribe", at=1767226105, EventKey="qrscene_123123", Ticket="gQT")
    response = push(account, xml)
    assert (response.status_code, response.content) == (200, b"success")
    event = EventLog.objects.get()
    assert event.event_time == datetime.datetime.fromtimestamp(1767226105, datetime.UTC)
    assert (event.kind, event.msg_type, event.event) == ("event.subscribe", "event", "subscribe")
    assert (event.event_key, event.scene, event.ticket) == ("qrscene_123123", "123123", "gQT")
    assert (event.source, event.status, event.delivery_count) == ("callback", "processed", 1)
    assert event.folded_at is not None
    assert bytes(event.raw) == xml if account.security_mode != "compatible" else True
    assert event.payload["EventKey"] == "qrscene_123123"


@both_doors
def test_the_callback_answers_without_its_slash_and_never_redirects(plain):
    xml = message_xml("event.VIEW", EventKey="https://x.example/")
    path = callback_path(plain).rstrip("/")
    with mock.patch("events.testing.callback_path", return_value=path):
        response = push(plain, xml)
    assert (response.status_code, response.content) == (200, b"success")
    assert EventLog.objects.count() == 1


def test_several_accounts_are_kept_apart(plain):
    other = make_account("second", "safe", original_id="gh_other", token="OtherToken1")
    push(plain, message_xml())
    push(other, message_xml(to="gh_other"))
    assert set(EventLog.objects.values_list("account__slug", "status")) == {
        ("shop", "processed"),
        ("second", "processed"),
    }
    assert Subscriber.objects.count() == 2


def test_tampered_plain_fields_beside_the_ciphertext_are_ignored():
    account = make_account(mode="compatible")
    real = message_xml("event.CLICK", EventKey="REAL")

    def tampered(path, data, **extra):
        return Client().post(path, data=data.replace(b"REAL", b"FAKE"), **extra)

    client = mock.Mock()
    client.post = tampered
    assert push(account, real, client=client).status_code == 200
    assert EventLog.objects.get().event_key == "REAL"


def test_an_encrypted_push_opens_before_the_site_is_told_of_the_switch(plain):
    assert push(plain, message_xml(), mode="safe").content == b"success"
    assert EventLog.objects.get().kind == "event.subscribe"


def test_without_a_key_an_encrypted_push_is_kept_unreadable():
    keyed = make_account(mode="plaintext")
    bare = make_account("bare", "plaintext", encoding_aes_key="")
    keyed.callback_key = bare.callback_key
    assert push(keyed, message_xml(), mode="safe").content == b"success"
    event = EventLog.objects.get()
    assert (event.account, event.status) == (bare, "unreadable")
    assert b"Encrypt" in bytes(event.raw)


# --- Duplicates and replies --------------------------------------------------------------------


@pytest.fixture
def rule(account):
    return make_rule(account, "event.click", key="MENU", content="你好 😀 ]]> <b>")


@both_doors
def test_a_click_is_answered_by_its_key_sealed_as_it_came(account, rule):
    response = push(account, message_xml("event.CLICK", EventKey="MENU"))
    assert response.headers["Content-Type"].startswith("application/xml")
    assert (b"<Encrypt>" in response.content) is (account.security_mode != "plaintext")
    reply = reply_in(response, account)
    assert reply["Content"] == "你好 😀 ]]> <b>"
    assert reply["ToUserName"] == "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
    assert reply["FromUserName"] == account.original_id
    assert EventLog.objects.get().status == "processed"


@pytest.mark.parametrize("key", ["OTHER", ""])
def test_a_key_without_a_rule_is_acknowledged(account, rule, key):
    assert push(account, message_xml("event.CLICK", EventKey=key)).content == b"success"


def test_a_rule_without_a_key_answers_whatever_has_none(account, rule):
    make_rule(account, "event.click", key="", content="else")
    make_rule(account, "text", key="帮助", content="help")
    make_rule(account, "event.subscribe", key="", content="off", is_active=False)
    answers = [
        push(account, message_xml("event.CLICK", EventKey="OTHER")),
        push(account, message_xml("text", Content="帮助", MsgId=1)),
    ]
    assert [reply_in(answer, account)["Content"] for answer in answers] == ["else", "help"]
    assert push(account, message_xml("event.subscribe")).content == b"success"


@both_doors
def test_a_duplicate_counts_and_gets_the_stored_reply(account, rule):
    xml = message_xml("event.CLICK", EventKey="MENU", at=1767226105)
    first = reply_in(push(account, xml), account)
    rule.content = "changed"
    rule.save()
    assert reply_in(push(account, xml), account) == first
    event = EventLog.objects.get()
    assert event.delivery_count == 2
    assert event.last_delivered_at > event.received_at
    assert Subscriber.objects.get().event_count == 1


@pytest.fixture
def handler(own_registries):
    """A handler that can tell its reply only once the event is stored."""
    reply_handler("event.click", override=True)(lambda event: TextReply("好的 😀"))


def test_a_duplicate_answers_where_the_first_attempt_died(account, handler):
    xml = message_xml("event.CLICK", EventKey="MENU", at=1767226105)
    with (
        mock.patch("events.callback.reply_runs.make_answer", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        push(account, xml)
    assert EventLog.objects.get().status == "received"
    assert reply_in(push(account, xml), account)["Content"] == "好的 😀"
    event = EventLog.objects.get()
    assert (event.status, event.delivery_count, event.next_attempt_at) == ("processed", 2, None)


# --- Rotation ----------------------------------------------------------------------------------


def test_the_former_token_and_key_work_for_a_while(safe, settings):
    former = OfficialAccount.objects.get()
    now = timezone.now()
    safe.set_token("BrandNewToken", now=now)
    safe.set_encoding_aes_key("A" * 43, now=now)
    safe.save()
    make_rule(safe, "event.click", key="", content="hi")

    response = push(former, message_xml("event.CLICK", EventKey="K", at=1767226105))
    assert response.status_code == 200
    # sealed with what opened it, so that a reader with the former secrets alone can open it
    assert reply_in(response, former)["Content"] == "hi"
    assert push(safe, message_xml("event.CLICK", EventKey="L")).status_code == 200

    later = now - datetime.timedelta(seconds=settings.SECRET_ROTATION_SECONDS + 1)
    OfficialAccount.objects.update(token_changed_at=later, encoding_aes_key_changed_at=later)
    assert push(former, message_xml("event.CLICK", EventKey="M")).status_code == 403
    assert EventLog.objects.count() == 2


def test_an_account_whose_token_was_taken_away_refuses_the_former_one_too(plain):
    former = OfficialAccount.objects.get()
    plain.set_token("", now=timezone.now())
    plain.save()
    assert push(former, message_xml()).status_code == 403
    assert not EventLog.objects.exists()


# --- Refusing ----------------------------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize(
    "change",
    [
        {"signature": "0" * 40},
        {"signature": None},
        {"signature": "zz"},
        {"signature": ""},
        {"timestamp": None},
        {"timestamp": "soon"},
        {"timestamp": "1"},
        {"nonce": None},
        {"nonce": "other"},
        {"nonce": "9" * 500},
    ],
)
def test_a_changed_parameter_is_refused_without_a_row(account, change):
    assert push(account, message_xml(), change=change).status_code == 403
    assert not EventLog.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize(
    "change",
    [
        {"msg_signature": "0" * 40},
        {"msg_signature": None},
        {"encrypt_type": None},
        {"encrypt_type": "raw"},
        {"encrypt_type": "des"},
    ],
)
def test_a_changed_parameter_of_an_encrypted_push_is_refused(safe, change):
    assert push(safe, message_xml(), change=change).status_code == 403
    assert not EventLog.objects.exists()


@pytest.mark.any_database
@both_doors
@pytest.mark.parametrize(
    "name", ["signature", "timestamp", "nonce", "msg_signature", "encrypt_type"]
)
def test_a_repeated_parameter_is_refused(safe, name):
    client = mock.Mock()

    def repeated(path, **extra):
        value = re.search(rf"\b{name}=([^&]*)", path).group(1)
        return Client().post(f"{path}&{name}={value}", **extra)

    client.post = repeated
    assert push(safe, message_xml(), client=client).status_code == 403
    assert not EventLog.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize("mode", ["compatible", "safe"])
def test_a_plain_body_is_a_downgrade(mode):
    account = make_account(mode=mode)
    assert push(account, message_xml(), mode="plaintext").status_code == 403
    assert not EventLog.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize(
    "columns",
    [{"app_id": "wx0000000000000000"}, {"encoding_aes_key": "B" * 43}, {"token": "AnotherToken"}],
)
def test_what_was_sealed_for_somebody_else_is_refused(safe, columns):
    stranger = OfficialAccount.objects.get()
    for name, value in columns.items():
        setattr(stranger, name, value)
    assert push(stranger, message_xml()).status_code == 403
    assert not EventLog.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize("cut", ["truncated", "padding", "empty", "not base64"])
def test_damaged_ciphertext_under_a_right_signature_is_refused(safe, cut):
    key = SealingKey(safe.token, safe.encoding_aes_key)
    sealed = seal("<xml/>", key, app_id=safe.app_id, timestamp=1, nonce="1", random=bytes(16))
    encrypt = re.search(r"CDATA\[(.*?)\]", sealed).group(1)
    encrypt = {
        "truncated": encrypt[:-24],
        "padding": encrypt[:-4] + ("AAA=" if encrypt[-1] == "=" else "AAAA"),
        "empty": "",
        "not base64": "*" * 64,
    }[cut]
    query = {"timestamp": str(int(time.time())), "nonce": "1", "encrypt_type": "aes"}
    query["signature"] = sign(safe.token, query["timestamp"], "1")
    query["msg_signature"] = sign(safe.token, query["timestamp"], "1", encrypt)
    response = Client().post(
        f"{callback_path(safe)}?{urlencode(query)}",
        data=f"<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>",
        content_type="text/xml",
    )
    assert response.status_code == 403
    assert not EventLog.objects.exists()


@pytest.mark.any_database
def test_an_empty_token_refuses_everybody(plain):
    OfficialAccount.objects.update(token="")
    plain.token = ""
    timestamp = str(int(time.time()))
    query = {"signature": sign("", timestamp, "1"), "timestamp": timestamp, "nonce": "1"}
    response = Client().post(
        f"{callback_path(plain)}?{urlencode(query)}", data=message_xml(), content_type="text/xml"
    )
    assert response.status_code == 403
    assert not EventLog.objects.exists()


@both_doors
def test_unknown_and_inactive_accounts_are_refused_like_a_wrong_signature(plain):
    wrong = push(plain, message_xml(), change={"signature": "0" * 40})
    OfficialAccount.objects.update(is_active=False)
    inactive = push(plain, message_xml())
    plain.callback_key = "nobody"
    unknown = push(plain, message_xml())
    assert {(r.status_code, r.content) for r in (wrong, inactive, unknown)} == {(403, b"forbidden")}
    assert not EventLog.objects.exists()


@pytest.mark.any_database
def test_a_refusal_is_logged_and_counted_without_any_secret(safe, caplog, client):
    def refused() -> float:
        text = client.get("/metrics").content.decode()
        found = re.search(r'refusals_total\{reason="SignatureMismatch \(-40001\)"\} (\S+)', text)
        return float(found.group(1)) if found else 0

    before = refused()
    with caplog.at_level(logging.DEBUG):
        push(safe, message_xml(), change={"msg_signature": "0" * 40})
        push(safe, message_xml())
    assert refused() == before + 1
    assert "SignatureMismatch (-40001)" in caplog.text
    for secret in (safe.token, AES_KEY, "signature=", "nonce="):
        assert secret not in caplog.text


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_refusals_that_could_not_be_stored_are_stored_later(plain, monkeypatch, error):
    monkeypatch.setattr(refusals, "_noted", Counter())
    push(plain, message_xml(), change={"signature": "0" * 40})
    with (
        mock.patch.object(refusals.Upsert, "execute", side_effect=error("gone")),
        pytest.raises(error),
    ):
        refusals.store_refusals()
    refusals.store_refusals()
    refusal = CallbackRefusal.objects.get()
    assert (refusal.account, refusal.number) == (plain.slug, 1)


@pytest.mark.any_database
@both_doors
@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_not_allowed(plain, method):
    assert getattr(Client(), method)(callback_path(plain)).status_code == 405


def test_an_old_push_is_counted_and_refused_only_when_told_to(plain, settings, client):
    old = {"timestamp": str(int(time.time()) - 3600), "nonce": "1"}
    old["signature"] = sign(plain.token, old["timestamp"], "1")
    settings.CALLBACK_MAX_AGE_PLAINTEXT = None
    assert push(plain, message_xml(at=1767226105), change=old).status_code == 200
    assert "odd_timestamps_total 0.0" not in client.get("/metrics").content.decode()
    settings.CALLBACK_MAX_AGE = 600
    assert push(plain, message_xml(at=1767226106), change=old).status_code == 403
    assert EventLog.objects.count() == 1


@both_doors
@pytest.mark.parametrize(
    ("late", "extra", "status"),
    [
        (30, {}, 200),
        (-7200, {}, 200),  # our clock is behind
        (7200, {}, 403),
        # without an AES key the body is taken as it came
        (7200, {"encrypt_type": "aes", "msg_signature": "0" * 40}, 403),
    ],
)
def test_a_captured_query_does_not_work_for_ever_in_plaintext_mode(plain, late, extra, status):
    OfficialAccount.objects.filter(pk=plain.pk).update(encoding_aes_key="")
    old = {"timestamp": str(int(time.time()) - late), "nonce": "1", **extra}
    old["signature"] = sign(plain.token, old["timestamp"], "1")
    assert push(plain, message_xml(), change=old).status_code == status


def test_an_old_push_in_safe_mode_is_counted_alone(safe):
    with mock.patch("time.time", return_value=time.time() - 7200):
        assert push(safe, message_xml()).status_code == 200


# --- Bad input: nothing authentic is lost ------------------------------------------------------

BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<xml><FromUserName>&b;</FromUserName></xml>"""
EXTERNAL = (
    b"""<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><Content>&e;</Content></xml>"""
)


def with_create_time(value: str) -> bytes:
    return message_xml(at=1).replace(b"<CreateTime>1<", f"<CreateTime>{value}<".encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<xml",
        BOMB,
        EXTERNAL,
        b"\xff\xfe<xml/>",
        "<xml><Content>你好</Content></xml>".encode("gbk"),
        b'{"ToUserName": "gh_5f2c81d0a7be", "MsgType": "text"}',
        b"<html><body>hi</body></html>",
        message_xml().replace(b"xml>", b"root>"),
        b"<xml></xml>",
        message_xml().replace(b"FromUserName", b"Sender"),
        message_xml(openid="o" * 70),
        message_xml().replace(b"MsgType", b"Type"),
        with_create_time(""),
        with_create_time("0"),
        with_create_time("-1767226105"),
        with_create_time("tomorrow"),
        with_create_time("9" * 30),
        with_create_time("999999999999"),
    ],
    ids=lambda body: repr(body[:24]),
)
@pytest.mark.parametrize("mode", ["plaintext", "safe"])
def test_an_authentic_but_unreadable_body_is_kept_and_acknowledged(mode, body):
    account = make_account(mode=mode)
    for _ in range(2):
        response = push(account, body)
        assert (response.status_code, response.content) == (200, b"success")
    event = EventLog.objects.get()
    assert (event.status, event.delivery_count, event.folded_at) == ("unreadable", 2, None)
    assert event.error
    assert bytes(event.raw) == body
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (with_create_time("32503680000"), "more than a day ahead"),
        (message_xml(to="gh_somebody_else"), "original ID"),
        (message_xml(to=""), "original ID"),
    ],
)
def test_what_is_not_for_us_or_not_yet_is_quarantined(account, body, reason):
    assert push(account, body).content == b"success"
    event = EventLog.objects.get()
    assert (event.status, event.folded_at) == ("set_aside", None)
    assert reason in event.error
    assert not Subscriber.objects.exists()


def test_what_is_older_than_the_horizon_is_quarantined(plain, settings):
    settings.EVENT_RETENTION_DAYS = 30
    push(plain, message_xml(at=int(time.time()) - 31 * 86400))
    push(plain, message_xml(at=int(time.time()) - 29 * 86400))
    assert sorted(EventLog.objects.values_list("status", flat=True)) == ["processed", "set_aside"]


@pytest.mark.parametrize(
    "fields",
    [
        {"EventKey": "qrscene_" + "s" * 70, "Ticket": "t" * 2000},
        {"EventKey": "qrscene_" + "场" * 70},
        {"EventKey": "😀" * 1000, "Content": "😀"},
        {"EventKey": "a\u0001b\u0008c"},
        {"Latitude": "31.23", "Unknown": {"Deep": "1"}},
    ],
)
def test_odd_but_readable_content_is_an_ordinary_row(account, fields):
    assert push(account, message_xml("event.subscribe", **fields)).content == b"success"
    event = EventLog.objects.get()
    assert event.status == "processed"
    assert len(event.scene) <= 64
    assert Subscriber.objects.get().is_following


@both_doors
def test_control_characters_are_read_past_and_kept_in_the_raw_body(plain):
    body = message_xml("text", Content="a", MsgId=5).replace(b"[a]", b"[a\x01\x08b]")
    assert push(plain, body).content == b"success"
    event = EventLog.objects.get()
    assert (event.status, event.payload["Content"], bytes(event.raw)) == ("processed", "ab", body)


def test_names_longer_than_their_columns_are_cut(account):
    assert push(account, message_xml("event." + "E" * 200)).content == b"success"
    assert push(account, message_xml("m" * 200, MsgId="9" * 100)).content == b"success"
    rows = EventLog.objects.order_by("id")
    assert [row.status for row in rows] == ["processed", "processed"]
    assert [len(row.kind) for row in rows] == [64, 64]
    assert (len(rows[0].event), len(rows[1].msg_type), len(rows[1].msg_id)) == (64, 64, 64)


def test_an_unknown_kind_is_an_ordinary_row_that_makes_no_follower(account):
    assert push(account, message_xml("event.brand_new_thing")).content == b"success"
    event = EventLog.objects.get()
    assert (event.kind, event.status) == ("event.brand_new_thing", "processed")
    assert not Subscriber.objects.exists()
    assert list(EventLog.objects.kinds()) == ["event.brand_new_thing"]


@both_doors
def test_a_body_over_the_limit_is_refused_after_its_signature_was_checked(account, settings):
    body = message_xml("text", Content="x" * 2**20, MsgId=1)
    assert push(account, body).status_code == 413
    assert push(account, body, change={"signature": "0" * 40}).status_code == 403
    assert not EventLog.objects.exists()
    settings.CALLBACK_MAX_BODY = 2**22
    assert push(account, body).status_code == 200


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_documented_event_is_stored_once(plain, path):
    OfficialAccount.objects.update(original_id="gh_5f2c81d0a7be")
    body = path.read_bytes()
    for _ in range(2):
        response = push(plain, body)
        assert (response.status_code, response.content) == (200, b"success")
    event = EventLog.objects.get()
    assert (event.status, event.delivery_count) == ("processed", 2)
    assert event.payload["MsgType"] == event.msg_type


# --- When the row cannot be stored -------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_locked_database_is_503_and_success_for_what_is_stored_already(settings):
    account = make_account(mode="plaintext")
    known, new = message_xml(at=1767226105), message_xml(at=1767226106)
    assert push(account, known).status_code == 200
    locked, release = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("LOCK TABLE events_eventlog IN SHARE ROW EXCLUSIVE MODE")
            locked.set()
            assert release.wait(60)
        connection.close()

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(60)
    try:
        # The lock is held as long as these take.
        assert push(account, new).status_code == 503
        assert push(account, known).content == b"success"
        assert thread.is_alive()
    finally:
        release.set()
        thread.join()
    assert push(account, new).status_code == 200
    assert EventLog.objects.count() == 2


@both_doors
def test_a_database_that_is_away_is_503(plain):
    with mock.patch("events.log.process.store_if_usual", side_effect=OperationalError("gone")):
        assert push(plain, message_xml()).status_code == 503
    with mock.patch("events.account_cache._stored", side_effect=OperationalError("gone")):
        assert push(plain, message_xml()).status_code == 503
        assert verify(plain).status_code == 503


@both_doors
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("handled", [False, True], ids=["early reply", "handler"])
def test_who_waits_is_answered_though_the_commit_was_not_confirmed(plain, request, handled, error):
    make_rule(plain, "event.click", "K", "Hello")
    if handled:
        request.getfixturevalue("handler")
    store = receive.deliver

    def store_and_lose_the_line(*arguments, **options):
        store(*arguments, **options)
        raise error("server closed the connection unexpectedly")

    with mock.patch.object(receive, "deliver", store_and_lose_the_line):
        response = push(plain, message_xml("event.CLICK", EventKey="K"))
    assert reply_in(response, plain)["Content"] == ("好的 😀" if handled else "Hello")
    event = EventLog.objects.get()
    assert (event.status, event.answered_by) == ("processed", "reply")


@both_doors
def test_once_stored_nothing_makes_the_answer_an_error(plain, handler):
    with mock.patch("events.callback.reply_runs.make_answer", side_effect=OperationalError("gone")):
        response = push(plain, message_xml("event.CLICK", EventKey="K"))
    assert (response.status_code, response.content) == (200, b"success")
    assert EventLog.objects.get().status == "received"

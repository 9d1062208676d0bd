"""A broken field through the callback: the row, the follower, the answer."""

from __future__ import annotations

import datetime
import random
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.metrics import mended
from events.models import EventLog
from events.testing import make_account, make_rule, message_xml, push, reply_in
from events.wechat import Credentials, SecurityMode
from events.wechat.sender import seal_push
from subscribers.models import Subscriber

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]

CODE = b"<Content><![CDATA[if(a[b[0]]>1)]]></Content>"


def text_body(content=CODE, **fields):
    body = message_xml("text", **{"Content": "CONTENT", "MsgId": "24862334516320000", **fields})
    return body.replace(b"<Content><![CDATA[CONTENT]]></Content>", content)


def answered(account):
    make_rule(account, "text", content="Thank you")


@pytest.mark.parametrize("mode", ["plaintext", "safe"])
def test_a_broken_text_is_folded_answered_and_marked(mode):
    account = make_account(mode=mode)
    answered(account)
    body = text_body(at=1767225661)
    before = mended._value.get()
    response = push(account, body)
    assert response.status_code == 200
    assert reply_in(response, account)["Content"] == "Thank you"
    event = EventLog.objects.get()
    assert (event.status, event.kind, event.msg_id) == ("processed", "text", "24862334516320000")
    assert event.event_time == datetime.datetime(2026, 1, 1, 0, 1, 1, tzinfo=datetime.UTC)
    assert event.mended
    assert bytes(event.raw) == body
    assert event.payload["Content"] == "if(a[b[0]]>1)"
    assert Subscriber.objects.get().is_following
    assert mended._value.get() == before + 1


def test_a_whole_body_is_not_marked():
    account = make_account()
    push(account, message_xml("text", Content="if(a[b[0]]>1)", MsgId="1"))
    assert not EventLog.objects.get().mended


@pytest.mark.parametrize(
    "typed",
    [
        b"if(a[b[0]]>1)",
        "绑".encode()[:-1],
        b"]]></Content><Encrypt>QUJD</Encrypt><Content><![CDATA[",
    ],
)
def test_compatible_mode_finds_the_ciphertext_beside_a_broken_text(typed):
    account = make_account(mode="compatible")
    content = b"<Content><![CDATA[%s]]></Content>" % typed
    inner = text_body(content)
    query, sealed = sealed_push(account, inner)
    outer = inner.replace(b"</xml>", sealed[sealed.index(b"<Encrypt>") :])
    response = Client().post(
        f"{callback_path(account)}?{query}", data=outer, content_type="text/xml"
    )
    assert response.status_code == 200
    event = EventLog.objects.get()
    assert (event.kind, event.status, event.mended) == ("text", "processed", True)
    assert bytes(event.raw) == inner


def sealed_push(account, body):
    from urllib.parse import urlencode

    credentials: Credentials = account.credentials(timezone.now())
    query, sealed = seal_push(
        body, credentials=credentials, mode=SecurityMode.SAFE, timestamp=1767225661,
        nonce="1", random=b"0" * 16,
    )  # fmt: skip
    return urlencode(query), sealed


def test_the_api_and_the_admin_say_that_a_row_is_mended(operator):
    account = make_account()
    push(account, text_body())
    event = EventLog.objects.get()
    page = operator.get(f"/admin/events/eventlog/{event.pk}/change/").content.decode()
    assert "mended" in page.lower()
    assert "if(a[b[0]]&gt;1)" in page


def test_repetitions_of_a_broken_push_are_one_row():
    account = make_account()
    for _ in range(3):
        push(account, text_body(at=1767225661))
    assert EventLog.objects.get().delivery_count == 3


def test_a_broken_event_is_of_an_unknown_kind_and_has_its_sender():
    account = make_account()
    push(account, message_xml().replace(b"<![CDATA[subscribe]]>", b"&#0;"))
    event = EventLog.objects.get()
    assert (event.kind, event.status, event.mended) == ("event._", "processed", True)
    assert event.openid == "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
    assert not Subscriber.objects.exists()


# --- Old rows, read anew ---


def unreadable_row(account, body, deliveries=2):
    from events.wechat import unreadable_key

    now = timezone.now()
    return EventLog.objects.create(
        account=account, raw=body, dedup_key=unreadable_key(body), kind="unreadable",
        event_time=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), status="unreadable",
        received_at=now, last_delivered_at=now, delivery_count=deliveries, error="not well-formed",
    )  # fmt: skip


def read_unreadable():
    output = StringIO()
    call_command("process_events", "--unreadable", stdout=output)
    return output.getvalue()


def test_old_unreadable_rows_are_read_anew():
    account = make_account()
    answered(account)
    unreadable_row(account, text_body(at=1767225661))
    hopeless = unreadable_row(account, b"<xml>")
    assert "1 read anew, 1 still unreadable" in read_unreadable()
    event = EventLog.objects.exclude(pk=hopeless.pk).get()
    assert (event.status, event.kind, event.delivery_count) == ("processed", "text", 2)
    assert event.mended
    assert event.folded_at
    assert Subscriber.objects.get().event_count == 1
    assert "0 read anew, 1 still unreadable" in read_unreadable()


def test_an_old_unreadable_row_joins_the_row_of_its_repetition():
    account = make_account()
    body = text_body(at=1767225661)
    push(account, body)
    unreadable_row(account, body)
    read_unreadable()
    assert EventLog.objects.get().delivery_count == 3
    assert Subscriber.objects.get().event_count == 1


def test_an_old_unreadable_row_of_another_account_is_quarantined():
    account = make_account()
    unreadable_row(account, text_body(to="gh_000000000000"))
    read_unreadable()
    event = EventLog.objects.get()
    assert (event.status, event.folded_at) == ("set_aside", None)


# --- The held corpus ---

HOSTILE = [
    CODE,
    b"<Content><![CDATA[a<![CDATA[b]]>c]]></Content>",
    b"<Content><![CDATA[\xe7\xbb]]></Content>",
    b"<Content>&#x2;</Content>",
    b"<Content><![CDATA[]]></Content><FromUserName><![CDATA[other]]></Content>",
    b"<Content><![CDATA[]]></Content><FromUserName>other</FromUserName><Content><![CDATA[]]></Content>",
    b"<Content><![CDATA[\0]]></Content>",
    b"<Content>" + b"<a>" * 3000 + b"</Content>",
    b"<Content><![CDATA[" + b"\xff" * 60_000 + b"]]></Content>",
    b"<Content><![CDATA[\xed\xa0\x80]]></Content>",
    b"<!-- -- --><Content>a</Content>",
    b"<?pi <Content>a</Content>",
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_keep_their_sender(content):
    account = make_account(mode="plaintext")
    assert push(account, text_body(content)).status_code == 200
    event = EventLog.objects.get()
    assert event.openid == "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
    assert event.kind == "text"
    assert event.status == "processed"


def test_random_bodies_are_stored_and_acknowledged():
    account = make_account(mode="plaintext")
    chance = random.Random(5)
    whole = text_body()
    for _ in range(60):
        at = chance.randrange(len(whole))
        body = whole[:at] + chance.randbytes(chance.randrange(1, 20)) + whole[at + 3 :]
        assert push(account, body).status_code == 200

"""Binding by a code that the follower sends in the chat."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from events.models import EventLog
from events.testing import make_account, message_xml, push, reply_in
from subscribers.binding.bind import LIFETIME, start_binding
from subscribers.binding.codes import MOST_BY_ACCOUNT, MOST_BY_FOLLOWER, new_code
from subscribers.models import Binding, BindingRequest, BindingScan

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]

CODE = BindingRequest.Way.CODE


@pytest.fixture
def account():
    return make_account()


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


_sent = iter(range(1, 1_000_000))


def send(account, text, *, openid="o1", at=None):
    body = message_xml("text", openid=openid, at=at, Content=text, MsgId=next(_sent))
    response = push(account, body)
    return "" if response.content == b"success" else reply_in(response, account)["Content"]


def outcome() -> tuple[str, str]:
    latest = BindingScan.objects.latest("pk")
    return latest.outcome, latest.refused_reason


@pytest.mark.parametrize("form", ["{}-{}", "{}{}", " {} {} ", "{}–{}"])
@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_a_code_binds_however_it_is_written(account, alice, form, case):
    request = start_binding(account=account, user=alice, way=CODE)
    assert "alice" in send(account, case(form.format(request.code[:4], request.code[4:])))
    binding = Binding.objects.active().get()
    assert (binding.user, binding.subscriber.openid) == (alice, "o1")
    request.refresh_from_db()
    assert (request.state, request.way, request.code, request.binding) == (
        "bound", "code", "", binding,
    )  # fmt: skip


def test_codes_are_stored_as_a_keyed_digest_and_encrypted(account, alice):
    request = start_binding(account=account, user=alice, way=CODE)
    assert (request.due_at, request.scene, request.url) == (None, "", "")
    stored = str(BindingRequest.objects.values_list("code_digest", "scene_digest"))
    assert request.code not in stored
    assert not set("01OIL") & set("".join(new_code() for _ in range(200)))


def test_a_code_works_once_and_in_time_and_for_its_own_account(account, alice):
    other = make_account(slug="other")
    request = start_binding(account=account, user=alice, way=CODE)
    shown = f"{request.code[:4]}-{request.code[4:]}"
    send(account, shown)
    send(account, shown, openid="o2")
    assert outcome() == ("refused", "used")
    bob = User.objects.create_user("bob")
    former = start_binding(account=account, user=bob, way=CODE, now=timezone.now() - 2 * LIFETIME)
    send(account, former.code, openid="o2")
    assert outcome() == ("refused", "expired")
    elsewhere = start_binding(account=account, user=bob, way=CODE)
    send(other, elsewhere.code, openid="o3")
    assert outcome() == ("refused", "wrong_account")
    send(account, elsewhere.code, openid="o2")
    assert Binding.objects.filter(user=bob).count() == 0


def test_nobody_guesses_and_nobody_else_is_locked_out(account, alice):
    request = start_binding(account=account, user=alice, way=CODE)
    for _ in range(MOST_BY_FOLLOWER):
        assert send(account, "ABCD-2345", openid="guesser")
    assert outcome() == ("refused", "unknown")
    send(account, request.code, openid="guesser")
    assert outcome() == ("refused", "too_many")
    # Many followers together: none has a second try, who erred in no code has the first.
    guesser = BindingScan.objects.latest("pk").subscriber
    BindingScan.objects.bulk_create(
        BindingScan(
            account=account, subscriber=guesser, event_id=-number, event_time=timezone.now(),
            outcome="refused", refused_reason="unknown",
        )
        for number in range(1, MOST_BY_ACCOUNT)
    )  # fmt: skip
    send(account, "ABCD-2345", openid="fresh")
    assert outcome() == ("refused", "unknown")
    send(account, request.code, openid="fresh")
    assert outcome() == ("refused", "too_many")
    send(account, request.code, openid="true")
    assert outcome() == ("bound", "")


def test_tries_are_forgotten_after_a_while(account, alice):
    request = start_binding(account=account, user=alice, way=CODE)
    for _ in range(MOST_BY_FOLLOWER):
        send(account, "ABCD-2345")
    BindingScan.objects.update(event_time=timezone.now() - datetime.timedelta(minutes=11))
    send(account, request.code)
    assert outcome() == ("bound", "")


@pytest.mark.parametrize("text", ["shanghai", "12345678", "SAMSUNG9", "ABCD-2345-X", "你好"])
def test_ordinary_words_are_answered_as_ever(account, text):
    assert send(account, text) == ""


@pytest.mark.parametrize("form", ["{}-{}", "{}{}", "{} – {}"])
def test_a_right_code_after_too_many_tries_stays_usable_and_is_shown_to_nobody(
    account, alice, form
):
    request = start_binding(account=account, user=alice, way=CODE)
    for _ in range(MOST_BY_FOLLOWER):
        send(account, "ABCD-2345", openid="guesser")
    sent = form.format(request.code[:4], request.code[4:])
    send(account, sent.lower(), openid="guesser")
    assert outcome() == ("refused", "too_many")
    event = EventLog.objects.latest("pk")
    for shown in (
        event.masked_payload(event.payload)["Content"],
        event.masked(event.payload["Content"]),
    ):
        assert "••••" in shown
        assert sent.lower() not in shown
    event.received_at -= datetime.timedelta(minutes=12)
    assert event.masked(sent) == sent
    send(account, request.code, openid="true")
    assert outcome() == ("bound", "")

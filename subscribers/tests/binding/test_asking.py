"""Binding where the follower is asked first."""

from __future__ import annotations

import datetime
import time

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone

from events.models import OfficialAccount
from events.testing import make_account, message_xml, push, reply_in
from subscribers.binding.bind import LIFETIME, start_binding
from subscribers.binding.standing import Progress, progress_of
from subscribers.models import Binding, BindingRequest, BindingScan, BindingText

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]

CODE = BindingRequest.Way.CODE
_sent = iter(range(1, 1_000_000))


@pytest.fixture
def account():
    account = make_account()
    OfficialAccount.objects.filter(pk=account.pk).update(ask_before_binding=True)
    return account


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


def scan(account, request, *, openid="o1", at=None):
    body = message_xml("event.SCAN", openid=openid, at=at, EventKey=request.scene, Ticket="t")
    return said(account, body)


def say(account, text, *, openid="o1", at=None):
    return said(account, message_xml("text", openid=openid, at=at, Content=text, MsgId=next(_sent)))


def said(account, body):
    response = push(account, body)
    return "" if response.content == b"success" else reply_in(response, account)["Content"]


def state(request) -> str:
    request.refresh_from_db()
    return str(request.state.value)


def outcomes() -> list[tuple[str, str]]:
    return list(BindingScan.objects.order_by("pk").values_list("outcome", "refused_reason"))


@pytest.mark.parametrize("way", list(BindingRequest.Way))
def test_nothing_is_bound_before_the_follower_agrees(account, alice, way):
    request = start_binding(account=account, user=alice, way=way)
    question = say(account, request.code) if way == CODE else scan(account, request)
    assert "alice" in question
    assert not Binding.objects.exists()
    assert (state(request), progress_of(request.pk)) == ("scanned", Progress.SCANNED)
    assert (request.scene, request.code, request.url) == ("", "", "")
    assert "alice" in say(account, "绑定")
    assert Binding.objects.active().get().user == alice
    assert state(request) == "bound"
    assert outcomes() == [("asked", ""), ("bound", "")]


@pytest.mark.parametrize("word", ["不绑定", "decline", "No.", "取消"])
def test_a_follower_who_declines_is_not_bound_and_is_not_asked_again_by_that_code(
    account, alice, word
):
    request = start_binding(account=account, user=alice)
    spent = BindingRequest(scene=request.scene)
    scan(account, request)
    say(account, word)
    assert state(request) == "refused"
    assert request.refused_reason == "declined"
    # A yes that comes later answers nothing, and the code is spent.
    assert say(account, "绑定") == ""
    scan(account, spent, at=int(time.time()) + 3)
    assert not Binding.objects.exists()
    assert outcomes() == [("asked", ""), ("refused", "declined"), ("refused", "used")]


def test_another_follower_can_neither_agree_nor_use_the_code(account, alice):
    request = start_binding(account=account, user=alice)
    spent = BindingRequest(scene=request.scene)
    scan(account, request)
    scan(account, spent, openid="o2")
    assert say(account, "绑定", openid="o2") == ""
    assert not Binding.objects.exists()
    assert state(request) == "scanned"
    say(account, "绑定")
    assert Binding.objects.active().get().subscriber.openid == "o1"


def test_a_second_scan_by_the_same_follower_asks_again(account, alice):
    request = start_binding(account=account, user=alice)
    spent = BindingRequest(scene=request.scene)
    scan(account, request)
    # WeChat tells two scans of one second apart by nothing.
    assert "alice" in scan(account, spent, at=int(time.time()) + 3)
    say(account, "bind", at=int(time.time()) + 5)
    assert Binding.objects.active().get().user == alice


def test_the_latest_question_is_the_one_that_is_answered(account, alice):
    bob = User.objects.create_user("bob")
    first = start_binding(account=account, user=alice)
    second = start_binding(account=account, user=bob)
    now = int(time.time())
    scan(account, first, at=now)
    scan(account, second, at=now + 1)
    say(account, "确认", at=now + 2)
    assert Binding.objects.active().get().user == bob
    assert (state(first), first.refused_reason) == ("refused", "withdrawn")


def test_a_yes_from_before_the_question_or_long_after_it_binds_nothing(account, alice):
    now = int(time.time())
    request = start_binding(account=account, user=alice)
    scan(account, request, at=now)
    assert say(account, "绑定", at=now - 30) == ""
    # Ten minutes later: the question's time is over.
    past = timezone.now() - LIFETIME + datetime.timedelta(seconds=5)
    BindingRequest.objects.update(asked_at=past, expires_at=timezone.now())
    say(account, "绑定", at=now + 2)
    assert outcomes()[-1] == ("refused", "expired")
    assert not Binding.objects.exists()


def test_a_fresh_request_withdraws_the_question(account, alice):
    request = start_binding(account=account, user=alice)
    scan(account, request)
    start_binding(account=account, user=alice)
    say(account, "绑定")
    assert outcomes()[-1] == ("refused", "withdrawn")
    assert not Binding.objects.exists()


def test_nobody_is_asked_what_cannot_be(account, alice):
    bob = User.objects.create_user("bob")
    scan(account, start_binding(account=account, user=alice))
    say(account, "绑定")
    scan(account, start_binding(account=account, user=bob), at=int(time.time()) + 3)
    assert outcomes()[-1] == ("refused", "follower_bound")
    scan(account, start_binding(account=account, user=alice), openid="o2")
    assert outcomes()[-1] == ("refused", "user_bound")


def test_yes_and_no_are_words_like_others_where_nobody_was_asked(account):
    assert say(account, "绑定") == ""
    assert outcomes() == []


def test_the_wording_is_the_operators_in_the_followers_language(account, alice):
    for language, text in (("zh-hans", "{user} 想绑定 {account}"), ("en", "{user} asks")):
        BindingText.objects.create(
            account=account, occasion="asked", language=language, text=text
        ).full_clean()
    alice.username = "<a href='x'>{account}"
    alice.save()
    request = start_binding(account=account, user=alice)
    assert (
        scan(account, request).partition("\n\n")[0]
        == f"＜a href='x'＞{{account}} 想绑定 {account.name}"
    )


def test_a_question_must_name_the_user_and_places_must_be_known(account):
    for text in ("Bind?", "{user} {password}"):
        with pytest.raises(ValidationError):
            BindingText(account=account, occasion="asked", text=text).full_clean()


def test_a_tap_answers_its_own_question_alone(account, alice):
    def tap(question_id, word="绑定"):
        body = message_xml("text", openid="o1", Content=word, MsgId=next(_sent),
                           bizmsgmenuid=question_id)  # fmt: skip
        return said(account, body)

    first = start_binding(account=account, user=alice)
    assert f"&msgmenuid={first.pk}" in scan(account, first)
    second = start_binding(account=account, user=User.objects.create_user("bob"))
    scan(account, second)
    tap(first.pk)
    tap("9" * 30)
    tap("x")
    assert not Binding.objects.exists()
    tap(second.pk)
    assert Binding.objects.active().get().user_id == second.user_id

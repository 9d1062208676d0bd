"""What a follower does in WeChat, and which sign-in it allows."""

from __future__ import annotations

import datetime
import re
import time

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone

from events.models import OfficialAccount
from events.testing import make_account, message_xml, push, reply_in
from subscribers.binding.bind import start_binding, unbind
from subscribers.binding.standing import Progress
from subscribers.models import (
    Binding,
    BindingRequest,
    BindingScan,
    BindingText,
    Erasure,
    SignInRequest,
    Subscriber,
)
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.signing_in.start import (
    MOST_SCANS_AN_HOUR,
    end_expired_sign_ins,
    progress_of_sign_in,
    start_sign_in,
    take,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]

SCAN, CODE = SignInRequest.Way
_sent = iter(range(1, 1_000_000))


@pytest.fixture(autouse=True)
def on(settings):
    settings.SCAN_SIGN_IN = True
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def account():
    return make_account(app_secret="s3cret")


@pytest.fixture
def alice(account):
    """A user with a bound follower, o1."""
    user = User.objects.create_user("alice")
    scan(account, start_binding(account=account, user=user))
    assert Binding.objects.active().get().user == user
    return user


def said(account, body):
    response = push(account, body)
    return "" if response.content == b"success" else reply_in(response, account)["Content"]


def scan(account, request, *, openid="o1", at=None):
    body = message_xml("event.SCAN", openid=openid, at=at, EventKey=request.scene, Ticket="t")
    return said(account, body)


def say(account, text, *, openid="o1", at=None, **fields):
    body = message_xml("text", openid=openid, at=at, Content=text, MsgId=next(_sent), **fields)
    return said(account, body)


def start(account, way=SCAN):
    request, key = start_sign_in(account=account, site="shop.example.com", way=way)
    SignInRequest.objects.filter(pk=request.pk).update(due_at=None)
    return request, key


def use(account, request, **options):
    """Scans or sends the code."""
    if request.way == CODE:
        return say(account, request.sent_code, **options)
    return scan(account, request, **options)


def latest() -> tuple[str, str]:
    scan = BindingScan.objects.latest("pk")
    return scan.outcome, scan.refused_reason


@pytest.mark.parametrize("way", [SCAN, CODE])
def test_a_bound_follower_is_asked_and_allows_one_sign_in(account, alice, way):
    request, key = start(account, way)
    assert progress_of_sign_in(request.pk) is Progress.READY
    question = use(account, request)
    assert "sign in to shop.example.com as “alice”" in question
    assert question.count("weixin://bizmsgmenu") == 2
    assert progress_of_sign_in(request.pk) is Progress.SCANNED
    assert take(request.pk, key) is None
    assert "signs you in now" in say(account, "Sign in.")
    assert progress_of_sign_in(request.pk) is Progress.ALLOWED
    assert take(request.pk, "another secret") is None
    assert take(request.pk, key) == alice
    assert take(request.pk, key) is None
    row = SignInRequest.objects.get()
    assert row.scene == row.code == row.url == ""


def test_a_tap_answers_its_own_question_alone(account, alice):
    first, first_key = start(account)
    tapped = re.search(r"msgmenuid=(\d+)", scan(account, first))
    assert tapped
    second, second_key = start(account)
    scan(account, second)
    assert say(account, "sign in", bizmsgmenuid=tapped[1]) != ""
    assert latest() == ("refused", "withdrawn")
    assert say(account, "sign in", bizmsgmenuid="7") == ""
    assert take(first.pk, first_key) is take(second.pk, second_key) is None
    say(account, "yes")
    assert take(second.pk, second_key) == alice


def test_a_follower_who_declines_signs_nobody_in(account, alice):
    request, key = start(account)
    scan(account, request)
    assert say(account, "decline") == "Nobody was signed in."
    assert progress_of_sign_in(request.pk) is Progress.REFUSED
    say(account, "sign in")
    assert take(request.pk, key) is None


def test_another_follower_can_neither_answer_nor_use_the_code(account, alice):
    request, key = start(account)
    scan(account, request)
    scan(account, request, openid="o2")
    assert latest() == ("refused", "used")
    assert say(account, "sign in", openid="o2") == ""
    say(account, "sign in")
    assert take(request.pk, key) == alice


def test_replays_of_old_scans_and_answers_allow_nothing(account, alice):
    earlier = int(time.time()) - 60
    old_yes = message_xml("text", openid="o1", at=earlier, Content="sign in", MsgId=77)
    old, old_key = start(account)
    old_scan = message_xml("event.SCAN", openid="o1", EventKey=old.scene, Ticket="t")
    push(account, old_scan)
    push(account, old_yes)  # from before the question
    assert progress_of_sign_in(old.pk) is Progress.SCANNED
    say(account, "sign in")
    assert take(old.pk, old_key) == alice
    new, new_key = start(account)
    push(account, old_scan)
    push(account, old_yes)
    scan(account, old, at=int(time.time()) + 2)
    assert latest() == ("refused", "used")
    assert progress_of_sign_in(new.pk) is Progress.READY
    assert take(new.pk, new_key) is None


def test_who_is_not_bound_is_told_so_and_gets_no_account(account, alice):
    request, key = start(account)
    assert "is not bound to an account of shop.example.com" in scan(account, request, openid="o2")
    assert latest() == ("refused", "not_bound")
    say(account, "sign in", openid="o2")
    assert take(request.pk, key) is None
    assert User.objects.count() == 1


def test_with_registration_who_is_not_bound_agrees_to_a_new_account(account, alice, settings):
    settings.SCAN_REGISTRATION = True
    request, key = start(account)
    assert "make a new account at shop.example.com" in scan(account, request, openid="o2")
    assert User.objects.count() == 1
    say(account, "sign in", openid="o2")
    made = take(request.pk, key)
    assert made is not None
    assert made.username.startswith("wechat-")
    assert not made.has_usable_password()
    assert not made.is_staff
    assert Binding.objects.active().get(user=made).subscriber.openid == "o2"


def test_whoever_may_not_sign_in_any_more_is_not_signed_in(account, alice):
    """An inactive user, or a binding that ended, at each moment."""
    binding = Binding.objects.get()
    request, key = start(account)
    scan(account, request)
    say(account, "sign in")
    unbind(binding)
    assert take(request.pk, key) is None
    Binding.objects.update(unbound_at=None)
    User.objects.update(is_active=False)
    request, key = start(account)
    scan(account, request)
    assert latest() == ("refused", "user_inactive")
    User.objects.update(is_active=True)
    request, key = start(account)
    scan(account, request)
    User.objects.update(is_active=False)
    say(account, "sign in")
    assert latest() == ("refused", "user_inactive")
    User.objects.update(is_active=True)
    request, key = start(account)
    scan(account, request)
    say(account, "解绑")
    say(account, "sign in")
    assert latest() == ("refused", "not_bound")
    assert take(request.pk, key) is None


def test_codes_questions_and_permissions_expire(account, alice):
    now = timezone.now()
    past = now - datetime.timedelta(minutes=2)
    late = {}
    for moment in ("unused", "allowed", "asked"):
        request, key = start(account)
        if moment != "unused":
            scan(account, request)
        if moment == "allowed":
            say(account, "sign in")
        SignInRequest.objects.filter(pk=request.pk).update(expires_at=past)
        late[moment] = request, key
    scan(account, late["unused"][0])
    assert latest() == ("refused", "expired")
    say(account, "yes")
    assert latest() == ("refused", "expired")
    for request, key in late.values():
        assert progress_of_sign_in(request.pk) is Progress.EXPIRED
        assert take(request.pk, key) is None
    assert end_expired_sign_ins() == 1
    later = now + datetime.timedelta(days=2)
    start(account)
    assert end_expired_sign_ins(now=later) == 0
    assert not SignInRequest.objects.filter(asked=None).exists()


def test_a_code_of_another_account_and_one_too_many_tries(account, alice):
    other = make_account("hats", original_id="gh_2", app_secret="x")
    request, _key = start(other)
    scan(account, request)
    assert latest() == ("refused", "wrong_account")
    assert progress_of_sign_in(request.pk) is Progress.READY
    for wrong in ("ABCD-2345", "ABCD-2346", "ABCD-2347", "ABCD-2348", "ABCD-2349"):
        say(account, wrong)
    request, _key = start(account, CODE)
    assert "too many" in use(account, request)
    assert progress_of_sign_in(request.pk) is Progress.READY


def test_a_word_for_both_answers_the_newer_question(account, alice):
    OfficialAccount.objects.update(ask_before_binding=True)
    Subscriber.objects.update(language="en")
    request, key = start(account)
    second = int(time.time())
    scan(account, request, at=second)
    unbind(Binding.objects.get())
    bob = User.objects.create_user("bob")
    scan(account, start_binding(account=account, user=bob), at=second + 1)
    say(account, "yes", at=second + 2)
    assert Binding.objects.active().get().user == bob
    assert take(request.pk, key) is None


def test_names_cannot_carry_markup_and_the_wording_is_the_operators(account, alice):
    User.objects.update(username='<a href="weixin://bizmsgmenu?msgmenuid=1">x</a>{site}')
    request, _key = start(account)
    question = scan(account, request)
    assert question.count("<a href") == 2
    own = BindingText(
        account=account, occasion="sign_in_asked", language="en", text="Is it you at {site}?"
    )
    with pytest.raises(ValidationError):
        own.full_clean()
    own.text = "{user} at {site}?"
    own.full_clean()
    own.save()
    request, _key = start(account)
    assert "{site} at shop.example.com?" in scan(account, request)


def test_off_the_site_takes_no_such_code(account, alice, settings):
    request, _key = start(account)
    settings.SCAN_SIGN_IN = False
    scan(account, request)
    assert latest() == ("refused", "unknown")
    assert progress_of_sign_in(request.pk) is Progress.READY
    assert say(account, "登录") == ""


def test_strangers_cannot_use_up_the_calls_to_wechat(account):
    SignInRequest.objects.bulk_create(
        SignInRequest(
            account=account,
            scene_digest=str(number),
            created_at=timezone.now(),
            expires_at=timezone.now(),
        )
        for number in range(MOST_SCANS_AN_HOUR)
    )
    request, _key = start(account)
    assert request.way == CODE
    account.app_secret = ""
    assert start(account)[0].way == CODE


def test_erasing_the_follower_forgets_his_sign_ins(account, alice):
    request, _key = start(account)
    scan(account, request)
    erase(request_erasure(account, "o1", reason=Erasure.Reason.REQUESTED))
    assert not SignInRequest.objects.exists()
    assert BindingScan.objects.filter(outcome="sign_in_asked", sign_in=None).count() == 1
    assert BindingRequest.objects.exists()

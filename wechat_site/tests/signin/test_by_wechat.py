"""Signing in with WeChat on the page, and what attackers get of it."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from events.models import AuditEntry
from events.testing import make_account, message_xml, push
from subscribers.binding.bind import start_binding
from subscribers.models import Binding, SignInRequest
from wechat_site.tests.signin.totp import totp

pytestmark = pytest.mark.django_db

PAGE = "/account/wechat/shop/"
GO_ON = "/account/wechat/go-on"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def on(settings):
    settings.SCAN_SIGN_IN = True
    cache.clear()


@pytest.fixture
def account():
    return make_account(name="Birch <b>Books</b>", app_secret="s3cret")


@pytest.fixture
def alice(account) -> User:
    user = User.objects.create_user("alice")
    scene = start_binding(account=account, user=user).scene
    push(account, message_xml("event.SCAN", openid="o1", EventKey=scene, Ticket="t"))
    return user


@pytest.fixture
def browser() -> Client:
    return Client(headers={"Accept-Language": "en"})


def text(response) -> str:
    return str(response.content.decode())


def started(browser: Client, **form: str) -> SignInRequest:
    """The request of a browser whose code is there, as after the worker's call."""
    assert browser.post("/account/wechat/", form).headers["Location"] == PAGE
    row = SignInRequest.objects.latest("pk")
    SignInRequest.objects.filter(pk=row.pk).update(url="http://weixin.qq.com/q/1", due_at=None)
    return row


def allow(account, row: SignInRequest) -> None:
    push(account, message_xml("event.SCAN", openid="o1", EventKey=row.scene, Ticket="t"))
    push(account, message_xml("text", openid="o1", Content="sign in", MsgId=row.pk))


def signed_in_as(browser: Client) -> str:
    found = re.search(r"is bound to the user (\w+)", text(browser.get("/me/wechat/shop/")))
    return found[1] if found else ""


def failed() -> tuple[str, str | None, str]:
    """Whose sign-in failed, from where and why, by the only entry of the audit list."""
    entry = AuditEntry.objects.get(act="sign_in_failed")
    assert entry.account is not None
    assert (entry.details["with"], entry.account.slug) == ("WeChat", "shop")
    return entry.user_name, entry.address, entry.details["reason"]


def test_from_the_sign_in_page_to_the_page_one_wanted(account, alice, browser, caplog):
    caplog.set_level("INFO", "wechat_site.signin")
    assert 'action="/account/wechat/"' in text(browser.get("/account/login/?next=/me/wechat/"))
    row = started(browser, next="/me/wechat/")
    page = text(browser.get(PAGE))
    assert "Scan this code" in page
    assert 'http-equiv="refresh"' in page
    assert browser.get("/account/wechat/code.png").headers["Content-Type"] == "image/png"
    push(account, message_xml("event.SCAN", openid="o1", EventKey=row.scene, Ticket="t"))
    assert "Birch &lt;b&gt;Books&lt;/b&gt; has asked you" in text(browser.get(PAGE))
    allow(account, row)
    page = text(browser.get(PAGE))
    assert "data-go-on" in page
    assert 'http-equiv="refresh"' not in page
    assert browser.post(GO_ON).headers["Location"] == "/me/wechat/"
    assert signed_in_as(browser) == "alice"
    entry = AuditEntry.objects.get(act="sign_in")
    assert (entry.user_name, entry.details) == ("alice", {"with": "WeChat"})
    assert entry.account == account
    assert 'sign-in succeeded address=127.0.0.1 user="alice"' in caplog.messages
    assert browser.get(PAGE).headers["Location"] == "/account/login/"


def test_a_code_to_send_for_accounts_without_scenes(account, alice, browser):
    browser.post(PAGE, {"way": "code"})
    code = SignInRequest.objects.get().sent_code
    assert code in text(browser.get(PAGE))
    push(account, message_xml("text", openid="o1", Content=code, MsgId=1))
    push(account, message_xml("text", openid="o1", Content="登录", MsgId=2))
    browser.post(GO_ON)
    assert signed_in_as(browser) == "alice"


def test_another_browser_gets_nothing_of_the_code(account, alice, browser):
    """A code, a secret or a page of one browser is of no use in another."""
    row = started(browser)
    mallory = Client(headers={"Accept-Language": "en"})
    assert "Show a code" in text(mallory.get(PAGE))
    assert mallory.get("/account/wechat/code.png").status_code == 404
    other = started(mallory)
    allow(account, row)
    mallory.post(GO_ON)
    assert signed_in_as(mallory) == ""
    assert SignInRequest.objects.get(pk=other.pk).used_at is None
    browser.post(GO_ON)
    assert signed_in_as(browser) == "alice"


def test_a_session_that_was_planted_is_worth_nothing(account, alice, browser):
    """Session fixation: before the code, and before the sign-in, the session is a new one."""
    mallory = Client()
    started(mallory)
    planted = mallory.cookies["sessionid"].value
    browser.cookies["sessionid"] = planted
    row = started(browser)
    asked = browser.cookies["sessionid"].value
    assert asked != planted
    allow(account, row)
    mallory.post(GO_ON)
    assert signed_in_as(mallory) == ""
    browser.post(GO_ON)
    assert browser.cookies["sessionid"].value not in {planted, asked}
    for known in (planted, asked):
        mallory.cookies["sessionid"] = known
        assert signed_in_as(mallory) == ""
    assert signed_in_as(browser) == "alice"


def test_an_answer_signs_in_once(account, alice, browser):
    allow(account, started(browser))
    again = Client()
    again.cookies["sessionid"] = browser.cookies["sessionid"].value
    browser.post(GO_ON)
    again.post(GO_ON)
    assert signed_in_as(again) == ""


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_one_is_led_nowhere_outside(account, alice, browser, wanted):
    allow(account, started(browser, next=wanted))
    assert "evil" not in text(browser.get(PAGE))
    assert browser.post(GO_ON).headers["Location"] == "/account/2fa/"


def test_staff_sign_in_with_their_second_factor_alone(account, alice, browser, settings):
    settings.REQUIRE_SECOND_FACTOR = False
    User.objects.update(is_staff=True, is_superuser=True)
    allow(account, started(browser, next="/admin/"))
    assert browser.post(GO_ON).headers["Location"] == "/account/login/"
    assert "only with a second factor" in text(browser.get("/account/login/"))
    assert failed() == ("alice", "127.0.0.1", "no-second-factor")
    assert browser.get("/admin/").status_code == 302

    TOTP.activate(alice, SECRET)
    settings.REQUIRE_SECOND_FACTOR = True
    allow(account, started(browser, next="/admin/"))
    assert browser.post(GO_ON).headers["Location"] == "/account/2fa/authenticate/"
    assert browser.get("/admin/").status_code == 302
    shown = browser.post("/account/2fa/authenticate/", {"code": totp(SECRET)})
    assert shown.headers["Location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_who_is_not_bound_is_led_to_binding_after_the_usual_sign_in(account, browser):
    row = started(browser)
    allow(account, row)
    page = text(browser.get(PAGE))
    assert "bound to no user" in page
    assert "/account/login/?next=%2Fme%2Fwechat%2Fshop%2F" in page
    assert not User.objects.exists()
    # Once, however often the page reloads.
    browser.get(PAGE)
    assert failed() == ("", "127.0.0.1", "not_bound")


def test_the_audit_list_says_who_was_refused_and_why(account, alice, browser, admin_client):
    row = started(browser)
    push(account, message_xml("event.SCAN", openid="o1", EventKey=row.scene, Ticket="t"))
    push(account, message_xml("text", openid="o1", Content="decline", MsgId=1))
    assert "You declined" in text(browser.get(PAGE))
    assert failed() == ("alice", "127.0.0.1", "declined")
    allow(account, started(browser))
    browser.post(GO_ON)
    pages = {"en": ("WeChat · the follower declined", "signed in · WeChat")}
    pages["zh-hans"] = ("登录失败 · 微信 · 已在微信中拒绝", "登录 · 微信")
    for language, sentences in pages.items():
        listed = "/admin/events/auditentry/?act=sign_in_with_wechat"
        shown = text(admin_client.get(listed, headers={"Accept-Language": language}))
        assert [sentence in shown for sentence in sentences] == [True, True], language
        assert shown.count("<tr") == 3


def test_who_registers_is_signed_in_and_recorded(account, browser, settings):
    settings.SCAN_REGISTRATION = True
    assert "whether to make an account" in text(browser.get(PAGE))
    allow(account, started(browser))
    browser.post(GO_ON)
    name = User.objects.get().username
    entries = AuditEntry.objects.filter(model="auth.user").order_by("pk")
    acts = entries.values_list("act", "object_name", "user_name")
    assert list(acts) == [("add", name, ""), ("sign_in", name, name)]


def test_a_user_who_became_inactive_is_not_signed_in(account, alice, browser):
    allow(account, started(browser))
    User.objects.update(is_active=False)
    assert browser.post(GO_ON).headers["Location"] == PAGE
    assert signed_in_as(browser) == ""
    assert failed() == ("alice", "127.0.0.1", "user_inactive")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"due_at": timezone.now()}, "is making your code"),
        ({"failure": "permission"}, "Send a code in the chat"),
        ({"expires_at": timezone.now()}, "has expired"),
        ({"refused_reason": "declined", "url": "", "scene": ""}, "You declined"),
        ({"refused_reason": "user_inactive", "url": "", "scene": ""}, "not valid any more"),
    ],
)
def test_the_page_says_how_far_it_is(account, browser, columns, words):
    started(browser)
    SignInRequest.objects.update(**columns)
    assert words in text(browser.get(PAGE))


def test_with_several_accounts_one_chooses(account, browser):
    make_account(slug="hats", name="Hemlock Hats", original_id="gh_2")
    page = text(browser.post("/account/wechat/", {"next": "/me/wechat/"}))
    assert "Hemlock Hats" in page
    assert 'value="/me/wechat/"' in page
    assert not SignInRequest.objects.exists()


def test_codes_of_one_address_are_counted(account, browser):
    for _ in range(21):
        last = browser.post(PAGE, follow=True)
    assert "many codes from your network" in text(last)
    assert SignInRequest.objects.count() == 20
    # A fresh code ends the former.
    assert SignInRequest.objects.filter(refused_reason="withdrawn").count() == 19


def test_it_is_off_until_it_is_turned_on_and_forms_need_their_token(account, browser, settings):
    strict = Client(enforce_csrf_checks=True)
    for form in (PAGE, "/account/wechat/", GO_ON):
        assert strict.post(form).status_code == 403
    settings.SCAN_SIGN_IN = False
    assert "/account/wechat/" not in text(browser.get("/account/login/"))
    for path in (PAGE, "/account/wechat/", "/account/wechat/code.png"):
        assert browser.get(path).status_code == 404
    assert browser.post(GO_ON).status_code == 404
    assert not Binding.objects.exists()

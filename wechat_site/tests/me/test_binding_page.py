"""The page where a site user binds their WeChat: its states, and what others get of it."""

from __future__ import annotations

import datetime
import io
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from PIL import Image

from events.media.account_picture import inline_picture, prepared, set_picture
from events.models import AuditEntry
from events.testing import make_account, message_xml, push
from subscribers.binding.standing import MOST_AN_HOUR
from subscribers.models import Binding, BindingRequest
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = pytest.mark.django_db

PAGE = "/me/wechat/shop/"
IN_WECHAT = "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50 Language/en"


@pytest.fixture
def account():
    return make_account(slug="shop", name="Birch <b>Books</b>", app_secret="s3cret")


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


@pytest.fixture
def browser(alice) -> Client:
    return signed_in(alice)


def signed_in(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def with_code(browser: Client) -> BindingRequest:
    """A request whose code is there, as after the worker's call."""
    assert browser.post(PAGE).headers["Location"] == PAGE
    row = BindingRequest.objects.latest("pk")
    BindingRequest.objects.filter(pk=row.pk).update(
        url="http://weixin.qq.com/q/1", ticket="gQ", due_at=None
    )
    return row


def scan(account, scene, openid="o1"):
    push(account, message_xml("event.SCAN", openid=openid, EventKey=scene, Ticket="gQT"))


def text(response) -> str:
    return str(response.content.decode())


def progress_url(browser: Client) -> str:
    found = re.search(r'data-progress-url="([^"]+)"', text(browser.get(PAGE)))
    assert found
    return found[1]


def test_from_the_first_tap_to_the_end_of_the_binding(account, alice, browser):
    assert "Show my code" in text(browser.get(PAGE))
    assert not BindingRequest.objects.exists()
    browser.post(PAGE)
    assert "is making your code" in text(browser.get(PAGE))
    row = with_code(browser)
    page = text(browser.get(PAGE))
    assert f"/me/wechat-code/{row.pk}.png" in page
    assert 'http-equiv="refresh"' in page
    assert "Birch &lt;b&gt;Books" in page
    scan(account, row.scene)
    page = text(browser.get(PAGE))
    assert "is bound to the user alice" in page
    assert 'http-equiv="refresh"' not in page
    assert browser.post(PAGE).status_code == 302
    assert BindingRequest.objects.open().count() == 0
    assert browser.get(f"{PAGE}end/").status_code == 200
    assert Binding.objects.active().exists()
    browser.post(f"{PAGE}end/")
    assert not Binding.objects.active().exists()
    assert AuditEntry.objects.filter(act="unbind", user_name="alice").count() == 1
    assert "Show my code" in text(browser.get(PAGE))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"refused_reason": "expired"}, "has expired"),
        ({"refused_reason": "follower_bound"}, "this WeChat is bound to another user"),
        ({"due_at": None, "failure": "permission"}, "makes no QR code"),
    ],
)
def test_the_page_says_why_nothing_is_bound_and_makes_a_fresh_code(
    account, browser, columns, words
):
    browser.post(PAGE)
    if "refused_reason" in columns:
        BindingRequest.objects.all().end(**columns)
    else:
        BindingRequest.objects.update(**columns)
    page = text(browser.get(PAGE))
    assert words in page
    assert "Send a code instead" in page if "failure" in columns else "Make a fresh code" in page


def test_in_wechat_itself_one_presses_the_code(account, browser):
    with_code(browser)
    assert "Scan this code" in text(browser.get(PAGE))
    assert "Press and hold" in text(browser.get(PAGE, headers={"User-Agent": IN_WECHAT}))


def test_the_state_is_one_query_without_a_session_and_says_when_it_changes(
    account, browser, client, django_assert_num_queries
):
    row = with_code(browser)
    url = progress_url(browser)
    with django_assert_num_queries(1):
        ready = client.get(url)
    assert text(ready) == "ready"
    assert "Set-Cookie" not in ready.headers
    same = client.get(url, headers={"If-None-Match": ready.headers["ETag"]})
    assert same.status_code == 304
    scan(account, row.scene)
    changed = client.get(url, headers={"If-None-Match": ready.headers["ETag"]})
    assert text(changed) == "bound"
    assert client.get("/me/wechat-progress/1/").status_code == 404


def test_nobody_else_sees_the_code(account, browser, client):
    row = with_code(browser)
    picture = f"/me/wechat-code/{row.pk}.png"
    mallory = signed_in(User.objects.create_user("mallory"))
    assert browser.get(picture).headers["Content-Type"] == "image/png"
    assert browser.get(picture).headers["Cache-Control"] == "no-store"
    assert mallory.get(picture).status_code == 404
    assert "/me/wechat-code/" not in text(mallory.get(PAGE))
    for page in (picture, PAGE, "/me/wechat/"):
        assert client.get(page).headers["Location"].startswith("/account/login/?next=/me/")
    BindingRequest.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert browser.get(picture).status_code == 404


def test_codes_are_counted(account, browser):
    for _ in range(MOST_AN_HOUR + 1):
        last = browser.post(PAGE, follow=True)
    assert "asked for many codes" in text(last)
    assert BindingRequest.objects.count() == MOST_AN_HOUR


def test_forms_need_their_token_and_accounts_must_be_active(account, alice):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(PAGE).status_code == 403
    assert strict.post(f"{PAGE}end/").status_code == 403
    account.is_active = False
    account.save()
    assert signed_in(alice).get(PAGE).status_code == 404


def test_with_several_accounts_one_chooses(account, alice, browser):
    assert browser.get("/me/wechat/").headers["Location"] == PAGE
    make_account(slug="hats", name="Hemlock Hats")
    page = text(browser.get("/me/wechat/"))
    assert "Hemlock Hats" in page
    assert PAGE in page


def test_a_code_to_send_binds_too(account, alice, browser):
    browser.post(PAGE, {"way": "code"})
    code = BindingRequest.objects.get().sent_code_for(alice)
    assert re.fullmatch(r"[A-Z2-9]{4}-[A-Z2-9]{4}", code)
    assert code in text(browser.get(PAGE))
    assert code not in text(signed_in(User.objects.create_user("mallory")).get(PAGE))
    push(account, message_xml("text", openid="o1", Content=code, MsgId=1))
    assert "is bound to the user alice" in text(browser.get(PAGE))


def test_without_an_app_secret_there_is_a_code_to_send(account, browser):
    account.app_secret = ""
    account.save()
    browser.post(PAGE)
    assert BindingRequest.objects.get().way == "code"


def test_the_accounts_picture_stands_beside_its_name(account, browser, private_storage):  # noqa: F811
    assert "<h1>" in text(browser.get(PAGE))
    content = io.BytesIO()
    Image.new("RGB", (200, 200), "green").save(content, "PNG")
    set_picture(account, prepared(content.getvalue()))
    account.save()
    page = text(browser.get(PAGE))
    assert f'<h1 class="of-account"><img src="{inline_picture(account)}"' in page
    assert "data:image/jpeg" not in text(Client().get(PAGE, follow=True))

"""The binding page in another site's frame: who gets a link, and what a link opens."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.test import Client

from events.models import ApiKey, AuditEntry
from events.people.scopes import ACT_FOR_USERS
from events.testing import make_account, message_xml, push
from subscribers.models import Binding, BindingRequest
from wechat_site.embedding import signed_links

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example.com"


@pytest.fixture(autouse=True)
def on(settings):
    settings.EMBEDDING_ORIGINS = [SHOP, "http://localhost:3000"]


@pytest.fixture
def account():
    return make_account(app_secret="s3cret")


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def frame() -> Client:
    """A frame's browser: it sends no cookies, so neither a session nor a CSRF token."""
    return Client(enforce_csrf_checks=True, headers={"Accept-Language": "en"})


def ask(body, scopes=("bindings:write", ACT_FOR_USERS)):
    owner = User.objects.filter(username="shop").first() or User.objects.create_superuser("shop")
    _, key = ApiKey.issue(user=owner, scopes=list(scopes), accounts=[])
    client = Client(headers={"Authorization": f"Bearer {key}"})
    return client.post("/api/v1/binding-links/", body, content_type="application/json")


def text(response) -> str:
    return str(response.content.decode())


def test_a_link_binds_its_user_in_a_frame_without_cookies(account, alice, frame):
    made = ask({"account": "shop", "user": "alice"})
    assert made.status_code == 201
    assert AuditEntry.objects.filter(act="make_binding_link", object_name="alice").count() == 1
    path = urlsplit(made.json()["url"]).path
    page = frame.get(path)
    assert f"frame-ancestors {SHOP} http://localhost:3000" in page["Content-Security-Policy"]
    assert "X-Frame-Options" not in page
    assert page["Referrer-Policy"] == "no-referrer"
    assert page["Cache-Control"] == "no-store"
    assert "Show my code" in text(page)
    assert frame.post(path).headers["Location"] == path
    BindingRequest.objects.update(url="http://weixin.qq.com/q/1", due_at=None)
    page = frame.get(path)
    assert 'src="data:image/png;base64,' in text(page)
    assert not page.cookies
    row = BindingRequest.objects.get()
    push(account, message_xml("event.SCAN", openid="o1", EventKey=row.scene, Ticket="t"))
    assert Binding.objects.active().get().user == alice
    page = text(frame.get(path))
    assert "is bound to the user alice" in page
    assert "/end/" not in page
    frame.post(path)
    assert BindingRequest.objects.count() == 1


def test_an_expired_altered_or_foreign_link_is_refused_with_words(
    account, alice, frame, monkeypatch
):
    path = signed_links.embedded_path(account, alice)
    token = path.split("/")[-2]
    forged = signing.dumps([account.pk, alice.pk], salt="my_wechat_progress")
    for wrong in (f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}", forged, "x", "a:b:c"):
        for answer in (frame.get(f"/me/embedded/{wrong}/"), frame.post(f"/me/embedded/{wrong}/")):
            assert answer.status_code == 403
            assert "This link is not valid" in text(answer)
    monkeypatch.setattr(signed_links, "LIFETIME", -signed_links.LIFETIME)
    answer = frame.get(path)
    assert answer.status_code == 403
    assert "This link has expired" in text(answer)
    assert f"frame-ancestors {SHOP}" in answer["Content-Security-Policy"]
    assert not BindingRequest.objects.exists()


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": True}])
def test_a_link_does_not_outlive_what_it_was_made_for(account, alice, frame, change):
    path = signed_links.embedded_path(account, alice)
    User.objects.filter(pk=alice.pk).update(**change)
    assert frame.get(path).status_code == 403


def test_a_key_gets_links_for_whom_it_may_act(account, alice):
    User.objects.create_superuser("chief")
    assert ask({"account": "shop", "user": "alice"}, ["bindings:read"]).status_code == 403
    assert ask({"account": "shop", "user": "alice"}, ["bindings:write"]).status_code == 403
    assert ask({"account": "shop", "user": "chief"}).status_code == 400
    assert ask({"account": "shop", "user": "shop"}).status_code == 400
    assert ask({"account": "shop", "user": "alice", "more": 1}).status_code == 400
    assert not AuditEntry.objects.filter(act="make_binding_link").exists()


def test_without_the_setting_there_are_no_links_and_no_frames(account, alice, frame, settings):
    settings.EMBEDDING_ORIGINS = []
    assert ask({"account": "shop", "user": "alice"}).status_code == 404
    assert frame.get(signed_links.embedded_path(account, alice)).status_code == 404
    assert frame.get("/me/wechat/")["X-Frame-Options"] == "DENY"

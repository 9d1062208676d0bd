"""What all pages of the admin share: their language, their size on the wire."""

from __future__ import annotations

import gzip

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client(headers={"Accept-Language": "zh-hans", "Accept-Encoding": "gzip"})
    client.force_login(User.objects.create_superuser("root"))
    return client


def text_of(response) -> str:
    assert response["Content-Encoding"] == "gzip"
    return gzip.decompress(response.content).decode()


def test_pages_travel_compressed(browser):
    response = browser.get("/admin/events/eventlog/")
    page = text_of(response)
    assert len(response.content) < len(page) / 2
    assert "Accept-Encoding" in response["Vary"]


def test_a_page_that_is_not_there_says_so_in_the_readers_language(browser):
    response = browser.get("/admin/nothing/")
    assert response.status_code == 404
    assert "页面不存在" in text_of(response)
    stranger = Client(headers={"Accept-Language": "en"}).get("/nothing/")
    assert "Page not found" in stranger.content.decode()


def test_a_short_password_is_refused_in_the_readers_language(browser):
    sent = {"username": "li.wei", "usable_password": "true", "password1": "x", "password2": "x"}
    page = text_of(browser.post("/admin/auth/user/add/", sent))
    assert "密码长度太短。密码必须包含至少" in page
    assert "too short" not in page


def test_permissions_and_filters_are_named_in_the_readers_language(browser):
    page = text_of(browser.get("/admin/auth/group/add/"))
    assert "Can add" not in page
    assert "Can view" not in page
    page = text_of(browser.get("/admin/subscribers/subscriber/"))
    assert "关注状态" in page
    assert "以 " not in page

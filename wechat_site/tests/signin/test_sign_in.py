"""Signing in by hand and by force: what is refused, what is told, what the log says."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from wechat_site.signin.roles import ROLES
from wechat_site.tests.signin.people import with_rights

LOGIN = "/account/login/"
PASSWORD = "correct horse battery"
# The filter of docs/sign-in.md, with fail2ban's <HOST> as an address.
FAIL2BAN = re.compile(r"sign-in failed address=(?P<host>[0-9a-f.:]+) ")

pytestmark = pytest.mark.django_db


@pytest.fixture
def person() -> User:
    return User.objects.create_superuser("ops", password=PASSWORD)


def try_password(client: Client, password: str, name: str = "ops", **extra: str):
    return client.post(LOGIN, {"username": name, "password": password}, **extra)


def test_the_admin_leads_to_the_one_sign_in_and_back(client, person):
    page = client.get("/admin/events/eventlog/")
    page = client.get(page.headers["Location"])
    sign_in = page.headers["Location"]
    assert sign_in.startswith(LOGIN)
    after = client.post(sign_in, {"username": "ops", "password": PASSWORD})
    assert after.headers["Location"] == "/admin/events/eventlog/"


def test_who_must_sign_in_again_comes_back_to_the_form(client, person):
    page = "http://testserver/admin/events/replyrule/?account=shop"
    order = "/admin/events/replyrule/order/1/"
    for referer, goal in ((page, page), ("https://evil.example/", order), ("", order)):
        sent = client.post(order, {"move": "1:1"}, HTTP_REFERER=referer)
        sign_in = client.get(sent.headers["Location"]).headers["Location"]
        after = client.post(sign_in, {"username": "ops", "password": PASSWORD})
        assert after.headers["Location"] == goal
        client.logout()


@pytest.mark.parametrize(
    ("rights", "page"),
    [
        (["subscribers.view_conversation"], "/admin/"),
        (sorted(ROLES["agent"].permissions), "/admin/subscribers/conversation/"),
        (sorted(ROLES["administrator"].permissions), "/admin/"),
    ],
)
def test_a_user_begins_on_a_page_that_admits_him(client, rights, page):
    user = with_rights("ling", *rights)
    user.set_password(PASSWORD)
    user.save()
    assert try_password(client, PASSWORD, "ling").headers["Location"] == page
    assert client.get(page).status_code == 200


@pytest.mark.parametrize("next_page", ["https://evil.example/", "//evil.example/", "javascript:1"])
def test_nobody_is_led_off_the_site(client, person, next_page):
    form = {"username": "ops", "password": PASSWORD, "next": next_page}
    assert client.post(LOGIN, form).headers["Location"] == reverse("admin:index")


def test_brute_force_is_locked_told_and_logged_and_the_right_user_comes_back(
    client, person, caplog, monkeypatch
):
    """Sixty wrong passwords, then the right one."""
    clock = [1_800_000_000.0]
    monkeypatch.setattr("allauth.core.internal.ratelimit.time.time", lambda: clock[0])
    for attempt in range(60):
        answer = try_password(client, f"wrong {attempt}", REMOTE_ADDR="203.0.113.7")
        assert answer.status_code in {200, 429}
    told = try_password(client, PASSWORD, REMOTE_ADDR="198.51.100.9")
    assert told.context["form"].errors["__all__"].as_data()[0].code == "too_many_login_attempts"
    assert client.session.get("_auth_user_id") is None

    lines = [record.getMessage() for record in caplog.records if record.name.endswith("signin")]
    assert lines.count('sign-in failed address=203.0.113.7 reason=password user="ops"') == 5
    assert 'sign-in failed address=198.51.100.9 reason=locked user="ops"' in lines
    assert {FAIL2BAN.match(line)["host"] for line in lines} == {"203.0.113.7", "198.51.100.9"}

    clock[0] += 301
    assert try_password(client, PASSWORD, REMOTE_ADDR="198.51.100.9").status_code == 302
    assert caplog.messages[-1] == 'sign-in succeeded address=198.51.100.9 user="ops"'


def test_another_host_header_is_no_new_attempt(client, person, settings):
    settings.ALLOWED_HOSTS = ["a.example", "b.example", "testserver"]
    for attempt in range(6):
        answer = try_password(client, "wrong", HTTP_HOST=f"{'ab'[attempt % 2]}.example")
    assert answer.context["form"].errors["__all__"].as_data()[0].code == "too_many_login_attempts"


def test_one_address_cannot_try_many_names(client, person):
    for number in range(11):
        answer = try_password(client, "wrong", f"person{number}")
    assert answer.context["form"].errors["__all__"].as_data()[0].code == "too_many_login_attempts"


def test_a_name_cannot_forge_a_line_of_the_log(client, person, caplog):
    forged = "x\n2026-01-01 WARNING wechat_site.signin: sign-in failed address=192.0.2.1 "
    try_password(client, "wrong", forged)
    line = next(message for message in caplog.messages if "sign-in failed" in message)
    assert "\n" not in line
    assert FAIL2BAN.match(line)["host"] == "127.0.0.1"


def test_an_inactive_user_stays_outside(client, person):
    User.objects.update(is_active=False)
    try_password(client, PASSWORD)
    assert client.get("/admin/").status_code == 302
    assert "_auth_user_id" not in client.session


def test_a_user_without_staff_rights_is_told_so(client, person):
    User.objects.update(is_staff=False, is_superuser=False)
    assert try_password(client, PASSWORD).headers["Location"] == reverse("mfa_index")
    page = client.get("/admin/", follow=True)
    assert page.status_code == 403
    assert page.templates[0].name == "403.html"


def test_nobody_signs_up(client):
    for path in ("/account/signup/", "/account/password/reset/", "/account/email/"):
        assert client.get(path).status_code == 404


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [1_800_000_000.0]
    monkeypatch.setattr("wechat_site.signin.lifetime.time.time", lambda: now[0])
    return now


def test_an_idle_session_ends(client, person, clock, settings):
    try_password(client, PASSWORD)
    clock[0] += settings.SESSION_IDLE_SECONDS - 10
    assert client.get("/admin/").status_code == 200
    clock[0] += settings.SESSION_IDLE_SECONDS - 10
    assert client.get("/admin/").status_code == 200
    clock[0] += settings.SESSION_IDLE_SECONDS + 10
    assert client.get("/admin/").status_code == 302


def test_a_page_that_refreshes_itself_keeps_no_session_alive(client, person, clock, settings):
    try_password(client, PASSWORD)
    for _ in range(3):
        clock[0] += settings.SESSION_IDLE_SECONDS / 2 - 10
        answer = client.get("/admin/", headers={"X-Background": "1"})
    assert answer.status_code == 302


def test_every_session_ends_in_time(client, person, clock, settings):
    try_password(client, PASSWORD)
    for _ in range(settings.SESSION_COOKIE_AGE // settings.SESSION_IDLE_SECONDS):
        clock[0] += settings.SESSION_IDLE_SECONDS - 10
        assert client.get("/admin/").status_code == 200
    clock[0] += settings.SESSION_IDLE_SECONDS - 10
    assert client.get("/admin/").status_code == 302


def test_a_changed_password_ends_the_other_sessions(client, person):
    other = Client()
    for browser in (client, other):
        try_password(browser, PASSWORD)
    new = "another horse battery"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert client.post("/account/password/change/", form).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert other.get("/admin/").status_code == 302


def test_other_sessions_are_listed_and_ended(client, person):
    other = Client(headers={"User-Agent": "Netscape 4"})
    try_password(other, PASSWORD, REMOTE_ADDR="203.0.113.7")
    try_password(client, PASSWORD)
    page = client.get("/account/sessions/").content.decode()
    assert "203.0.113.7" in page
    assert "Netscape 4" in page
    client.post("/account/sessions/")
    assert client.get("/admin/").status_code == 200
    assert other.get("/admin/").status_code == 302

"""What a password opens where the site demands a second factor."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from wechat_site.tests.signin.totp import totp

PASSWORD = "correct horse battery"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def demanded(settings):
    settings.REQUIRE_SECOND_FACTOR = True


@pytest.fixture
def person() -> User:
    return User.objects.create_superuser("ops", password=PASSWORD)


def sign_in(client: Client) -> str:
    form = {"username": "ops", "password": PASSWORD}
    return client.post("/account/login/", form).headers["Location"]


def code() -> str:
    return totp(SECRET)


def test_the_first_sign_in_asks_for_a_second_factor(client, person):
    sign_in(client)
    for path in ("/admin/", "/admin/events/eventlog/", "/api/docs/"):
        assert client.get(path).headers["Location"] == "/account/2fa/"
    assert client.post("/admin/auth/user/add/").headers["Location"] == "/account/2fa/"
    form_page = client.get("/account/2fa/totp/activate/")
    assert form_page.status_code == 200
    secret = form_page.context["form"].secret
    with_codes = client.post("/account/2fa/totp/activate/", {"code": totp(secret)})
    assert with_codes.headers["Location"] == "/account/2fa/recovery-codes/"


def test_the_secrets_are_encrypted_at_rest(person):
    TOTP.activate(person, SECRET)
    RecoveryCodes.activate(person)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in stored
    assert stored.count("gAAAA") == 2


def test_a_password_alone_opens_nothing_once_a_factor_is_there(client, person):
    TOTP.activate(person, SECRET)
    assert sign_in(client) == "/account/2fa/authenticate/"
    assert client.get("/admin/").status_code == 302
    assert client.get("/account/2fa/").headers["Location"].startswith("/account/login/")


def test_the_code_opens_and_works_once(client, person, caplog):
    TOTP.activate(person, SECRET)
    sign_in(client)
    wrong = client.post("/account/2fa/authenticate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert 'sign-in failed address=127.0.0.1 reason=second-factor user="ops"' in caplog.messages
    used = code()
    assert client.post("/account/2fa/authenticate/", {"code": used}).status_code == 302
    assert client.get("/admin/").status_code == 200

    other = Client()
    sign_in(other)
    assert other.post("/account/2fa/authenticate/", {"code": used}).status_code == 200
    assert other.get("/admin/").status_code == 302


def test_codes_cannot_be_guessed(client, person):
    TOTP.activate(person, SECRET)
    sign_in(client)
    for guess in range(12):
        answer = client.post("/account/2fa/authenticate/", {"code": f"{guess:06d}"})
    right = client.post("/account/2fa/authenticate/", {"code": code()})
    assert right.status_code in {200, 429}
    assert answer.status_code in {200, 429}
    assert client.get("/admin/").status_code == 302


def test_a_recovery_code_replaces_a_lost_device_once(client, person):
    TOTP.activate(person, SECRET)
    recovery = RecoveryCodes.activate(person).get_unused_codes()[0]
    sign_in(client)
    assert client.post("/account/2fa/authenticate/", {"code": recovery}).status_code == 302
    assert client.get("/admin/").status_code == 200
    other = Client()
    sign_in(other)
    assert other.post("/account/2fa/authenticate/", {"code": recovery}).status_code == 200


def test_a_session_from_before_the_factor_does_not_profit_from_it(client, person):
    """Somebody knew the password first; then the right user set a factor up elsewhere."""
    sign_in(client)
    TOTP.activate(person, SECRET)
    assert client.get("/admin/").headers["Location"] == "/account/login/"
    assert "_auth_user_id" not in client.session


def test_without_the_last_factor_a_new_one_is_asked_for(client, person):
    TOTP.activate(person, SECRET)
    sign_in(client)
    client.post("/account/2fa/authenticate/", {"code": code()})
    client.post("/account/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()
    assert client.get("/admin/").headers["Location"] == "/account/2fa/"


def test_an_administrator_helps_where_everything_is_lost(client, person):
    TOTP.activate(person, SECRET)
    RecoveryCodes.activate(person)
    sign_in(client)
    client.post("/account/2fa/authenticate/", {"code": code()})
    call_command("reset_second_factor", "ops")
    assert client.get("/admin/").status_code == 302
    assert sign_in(client) == "/admin/"
    assert client.get("/admin/").headers["Location"] == "/account/2fa/"


def test_users_without_staff_rights_may_do_without(client, person):
    User.objects.update(is_staff=False, is_superuser=False)
    sign_in(client)
    assert client.get("/account/sessions/").status_code == 200
    assert client.get("/admin/", follow=True).status_code == 403

"""What people do about passwords, second factors and sessions, and its entry: both or neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client

from events.models import ApiKey, AuditEntry
from wechat_site.tests.signin.totp import totp

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "another horse battery"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


class NoAudit(DatabaseError):
    pass


class Person:
    """Somebody with a password and a browser, in which he signed in just now."""

    def __init__(self) -> None:
        self.user = User.objects.create_superuser("ops", password=PASSWORD)
        self.browser = Client()
        self.browser.force_login(self.user)

    def has_app(self) -> None:
        TOTP.activate(self.user, SECRET)
        RecoveryCodes.activate(self.user)

    def has_passkey(self) -> None:
        Authenticator.objects.create(
            user=self.user, type="webauthn", data={"name": "key", "credential": {}}
        )

    def has_second_session(self) -> None:
        sign_in()

    def has_app_and_second_session(self) -> None:
        sign_in()
        self.has_app()


def sign_in() -> None:
    Client().post("/account/login/", {"username": "ops", "password": PASSWORD})


def sets_app_up(person: Person) -> None:
    page = "/account/2fa/totp/activate/"
    secret = person.browser.get(page).context["form"].secret
    person.browser.post(page, {"code": totp(secret)})


def posts(page: str, **data: str) -> Callable[[Person], None]:
    def post(person: Person) -> None:
        person.browser.post(page.format(user=person.user.pk), data)

    return post


def removes_passkey(person: Person) -> None:
    pk = Authenticator.objects.get(type="webauthn").pk
    person.browser.post(f"/account/2fa/webauthn/keys/{pk}/remove/")


def types_new_password(person: Person) -> None:
    module = "django.contrib.auth.management.commands.changepassword"
    with mock.patch(f"{module}.getpass.getpass", return_value=OTHER_PASSWORD):
        call_command("changepassword", "ops")


def makes_administrator(person: Person) -> None:
    with mock.patch.dict("os.environ", DJANGO_SUPERUSER_PASSWORD=OTHER_PASSWORD):
        call_command("createsuperuser", "--noinput", username="new", email="")


def nothing(person: Person) -> None:
    pass


# What was there before, what is done, and the acts and tables of its entries.
ACTS: dict[str, tuple[Callable[[Person], object], Callable[[Person], object], set[str]]] = {
    "sign in": (nothing, lambda person: sign_in(), {"sign_in auth.user"}),
    "sign out": (nothing, posts("/account/logout/"), {"sign_out auth.user"}),
    "end sessions": (
        Person.has_second_session,
        posts("/account/sessions/"),
        {"end_sessions auth.user"},
    ),
    "app set up": (nothing, sets_app_up, {"add mfa.authenticator"}),
    "app removed": (
        Person.has_app,
        posts("/account/2fa/totp/deactivate/"),
        {"delete mfa.authenticator"},
    ),
    "new recovery codes": (
        Person.has_app,
        posts("/account/2fa/recovery-codes/generate/"),
        {"delete mfa.authenticator", "add mfa.authenticator"},
    ),
    "passkey removed": (Person.has_passkey, removes_passkey, {"delete mfa.authenticator"}),
    "own password": (
        nothing,
        posts(
            "/account/password/change/",
            oldpassword=PASSWORD,
            password1=OTHER_PASSWORD,
            password2=OTHER_PASSWORD,
        ),
        {"change auth.user"},
    ),
    "password by an administrator": (
        nothing,
        posts(
            "/admin/auth/user/{user}/password/",
            password1=OTHER_PASSWORD,
            password2=OTHER_PASSWORD,
            usable_password="true",
        ),
        {"change auth.user"},
    ),
    "changepassword": (nothing, types_new_password, {"change auth.user"}),
    "createsuperuser": (nothing, makes_administrator, {"add auth.user"}),
    "create_api_key": (
        nothing,
        lambda person: call_command("create_api_key", "ops", "--scope", "events:read"),
        {"add events.apikey"},
    ),
    "reset_second_factor": (
        Person.has_app_and_second_session,
        lambda person: call_command("reset_second_factor", "ops"),
        {"delete mfa.authenticator", "end_sessions auth.user"},
    ),
}


def stored() -> list[Any]:
    """All that these acts change."""
    signed_in = [session.get_decoded().get("_auth_user_id") for session in Session.objects.all()]
    return [
        list(User.objects.order_by("pk").values("username", "password", "last_login")),
        list(Authenticator.objects.order_by("pk").values("pk", "type")),
        list(ApiKey.objects.order_by("pk").values("pk")),
        sorted(filter(None, signed_in)),
        UserSession.objects.count(),
    ]


@pytest.mark.parametrize("name", ACTS)
def test_an_act_and_its_entry_are_one(name, monkeypatch):
    prepare, act, entries = ACTS[name]
    person = Person()
    prepare(person)
    # Whatever this browser is asked again, it was asked just now.
    before, newest = stored(), AuditEntry.objects.latest("pk").pk

    def fail(*args: Any, **kwargs: Any) -> None:
        raise NoAudit("no entry can be written")

    with monkeypatch.context() as patch:
        patch.setattr(AuditEntry, "save", fail)
        with pytest.raises(NoAudit):
            act(person)
    assert stored() == before
    assert AuditEntry.objects.latest("pk").pk == newest

    act(person)
    assert stored() != before
    found = AuditEntry.objects.filter(pk__gt=newest).values_list("act", "model")
    assert entries <= {f"{act} {model}" for act, model in found}


def test_a_session_that_cannot_be_stored_has_no_entry(monkeypatch):
    person = Person()
    before, entries = stored(), AuditEntry.objects.count()
    store = "django.contrib.sessions.backends.db.SessionStore.save"
    with mock.patch(store, side_effect=NoAudit), pytest.raises(NoAudit):
        sign_in()
    assert (stored(), AuditEntry.objects.count()) == (before, entries)
    assert person.user.pk

"""Adapts django-allauth to this site: sign-in, second factors, sessions."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from events.audit.record import record
from events.models.fields import decrypted, encrypted
from events.people.client_address import client_address
from subscribers.models import Conversation
from wechat_site.signin.journal import note_failure
from wechat_site.signin.lifetime import is_fresh

__all__ = [
    "AccountAdapter",
    "AddPasskeyForm",
    "RenamePasskeyForm",
    "SecondFactorAdapter",
    "SessionsAdapter",
    "SignInForm",
]


class SignInForm(LoginForm):  # type: ignore[misc]
    """User name and password, under the names that password managers know."""

    def add_prefix(self, field_name: str) -> str:
        prefixed: str = super().add_prefix(field_name)
        return "username" if field_name == "login" else prefixed


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey; it signs in without a password unless the user unchecks that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name")
        passwordless = self.fields["passwordless"]
        passwordless.initial = True
        passwordless.label = _("Sign in with it alone, without a password")
        passwordless.help_text = _("It then asks for your fingerprint, face or PIN each time.")


class RenamePasskeyForm(EditWebAuthnForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name")


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Closes the sign-up, since administrators make the users, and logs failures.

    A sign-in or sign-out, its session and its entry in the audit list are one transaction. No
    password is hashed inside it, because that would hold up everybody who writes.
    """

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The page where the user works: the inbox for those who only answer followers."""
        if not request.user.is_staff:
            return reverse("mfa_index")
        inbox = admin.site.get_model_admin(Conversation)
        sees_statistics = request.user.has_perm("events.view_statistics")
        if inbox.has_view_permission(request) and not sees_statistics:
            return reverse("admin:subscribers_conversation_changelist")
        return reverse("admin:index")

    def login(self, request: HttpRequest, user: Any) -> None:
        with transaction.atomic():
            super().login(request, user)
            request.session.save()

    def logout(self, request: HttpRequest) -> None:
        with transaction.atomic():
            super().logout(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            note_failure(request, credentials.get("username", ""), "locked")
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        note_failure(request, credentials.get("username", ""), "password")

    def set_password(self, user: Any, password: str) -> None:
        user.set_password(password)
        # Only this column: while passwords are hashed, an administrator may take rights away.
        user.save(update_fields=["password"])

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        # A user who signed in just now has shown everything that the site would ask for again.
        if is_fresh(self.request):
            return False
        return bool(super().is_reauthentication_required(app=app, **kwargs))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # Only the name. With the Host header, which strangers choose, they would get new attempts.
        return str(credentials.get("username", "")).lower()


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of second factors encrypted."""

    def encrypt(self, text: str) -> str:
        return encrypted(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypted(encrypted_text, where="mfa.Authenticator.data")


class SessionsAdapter(DefaultUserSessionsAdapter):  # type: ignore[misc]
    """Records that a user ended sessions, with how many."""

    def end_sessions(self, sessions: list[UserSession]) -> None:
        with transaction.atomic():
            super().end_sessions(sessions)
            if sessions:
                user = sessions[0].user
                details = {"sessions": len(sessions)}
                record("end_sessions", user, name=user.get_username(), details=details)

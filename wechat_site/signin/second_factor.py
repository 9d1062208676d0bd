"""Demands a second factor of users with staff rights, if the site is set so.

The session remembers that the user showed or set up a second factor in it. So a password alone
opens only the page that sets one up, even in a session from before the first factor was set up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.signals import authentication_step_completed
from allauth.mfa.signals import authenticator_added, authenticator_removed
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth import logout
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

__all__ = ["SecondFactorMiddleware", "needs_second_factor"]

_SHOWN = "second_factor_of"
# Pages that need no second factor: signing out, setting one up, choosing the language.
_OPEN = ("/account/", "/i18n/")


def needs_second_factor(user: Any) -> bool:
    """Whether the site demands a second factor of this user."""
    has_rights = user.is_staff or user.is_superuser
    return bool(settings.REQUIRE_SECOND_FACTOR and user.is_active and has_rights)


class SecondFactorMiddleware:
    """Redirects users who showed no second factor to the sign-in, or to set one up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.REQUIRE_SECOND_FACTOR and not request.path.startswith(_OPEN):
            user = request.user
            if (
                user.is_authenticated
                and needs_second_factor(user)
                and request.session.get(_SHOWN) != user.pk
            ):
                if is_mfa_enabled(user):
                    with transaction.atomic():
                        logout(request)
                    return HttpResponseRedirect(reverse("account_login"))
                return HttpResponseRedirect(reverse("mfa_index"))
        return self.get_response(request)


@receiver(authentication_step_completed)
def _step_completed(request: HttpRequest, method: str, user: Any, **kwargs: Any) -> None:
    if method == "mfa":
        request.session[_SHOWN] = user.pk


@receiver(authenticator_added)
def _added(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    request.session[_SHOWN] = user.pk


@receiver(authenticator_removed)
def _removed(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    if not is_mfa_enabled(user):
        request.session.pop(_SHOWN, None)

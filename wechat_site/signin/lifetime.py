"""Ends sessions that were idle for too long, and old sessions in any case."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

__all__ = ["BACKGROUND_HEADER", "SessionLifetimeMiddleware", "is_fresh"]

# Pages send this header when they refresh parts of themselves, which is no sign of a user.
BACKGROUND_HEADER = "X-Background"

_BEGAN, _USED = "session_began", "session_used"
# Seconds between two writes of the last use, to save a write for every request.
_NOTED_EVERY = 60
_FRESH = 300


class SessionLifetimeMiddleware:
    """Signs out users idle for SESSION_IDLE_SECONDS, or signed in SESSION_COOKIE_AGE ago."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        # The cookie is checked first, so that a visitor without a session costs no query.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            now = time.time()
            began, used = session.get(_BEGAN), session.get(_USED)
            if began is None or used is None:
                session[_BEGAN] = session[_USED] = now
            elif (
                now - used > settings.SESSION_IDLE_SECONDS
                or now - began > settings.SESSION_COOKIE_AGE
            ):
                with transaction.atomic():
                    logout(request)
            elif now - used > _NOTED_EVERY and BACKGROUND_HEADER not in request.headers:
                session[_USED] = now
                UserSession.objects.filter(session_key=session.session_key).update(
                    last_seen_at=timezone.now()
                )
        return self.get_response(request)


def is_fresh(request: HttpRequest) -> bool:
    """Whether the user of this session signed in during the last minutes."""
    began: float = request.session.get(_BEGAN) or 0
    return time.time() - began < _FRESH


@receiver(user_logged_in)
def _begin(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is not None:
        request.session[_BEGAN] = request.session[_USED] = time.time()

"""Finds who acts: the user or key of the current request, a command, or the site itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from events.audit.command import user_of_command
from events.models import ApiKey, AuditEntry
from events.people.client_address import client_address

__all__ = ["Actor", "AuditMiddleware", "act_under_way", "actor", "recorded_as"]

_request: ContextVar[HttpRequest | None] = ContextVar("audit_request", default=None)
_act: ContextVar[str] = ContextVar("audit_act", default="")


@dataclass(frozen=True)
class Actor:
    """The columns of an entry that say who acts, and from where."""

    way: AuditEntry.Way
    user_id: int | None = None
    user_name: str = ""
    key_id: int | None = None
    key_name: str = ""
    address: str | None = None


class AuditMiddleware:
    """Remembers the current request. Only recording an entry looks up its user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


def actor() -> Actor:
    """Returns who acts now."""
    request = _request.get()
    if request is None:
        if (name := user_of_command()) is not None:
            return Actor(AuditEntry.Way.COMMAND, user_name=name)
        return Actor(AuditEntry.Way.SITE)
    user: Any = getattr(request, "user", None)
    # The API's authentication stores the key here, and its owner as `user`.
    key = getattr(request, "auth", None)
    key = key if isinstance(key, ApiKey) else None
    is_known = user is not None and user.is_authenticated
    return Actor(
        AuditEntry.Way.API if request.path.startswith("/api/") else AuditEntry.Way.PAGE,
        user_id=user.pk if is_known else None,
        user_name=user.get_username() if is_known else "",
        key_id=key.pk if key else None,
        key_name=str(key) if key else "",
        address=client_address(request),
    )


@contextmanager
def recorded_as(act: str) -> Iterator[None]:
    """Records changes in the block as this act, not as a mere change."""
    token = _act.set(act)
    try:
        yield
    finally:
        _act.reset(token)


def act_under_way() -> str:
    return _act.get()

"""Decides what the user who views a page may see.

Admin, API, exports and search use this module. `events/people/middleware.py` makes the user of each
request the viewer. Worker and commands have no viewer, and see everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.contrib.auth import get_permission_codename
from django.db.models import Model

__all__ = [
    "HIDDEN",
    "account_ids",
    "limited_to",
    "may",
    "may_look_at",
    "may_see_contents",
    "may_see_openids",
    "seen_through",
    "shown_openid",
    "viewed_by",
    "visible_to",
    "without_openids",
]

HIDDEN = "••••"

# The form of WeChat's OpenIDs today. UnionIDs look the same.
_OPENID = re.compile(r"(?<![A-Za-z0-9_-])o[A-Za-z0-9_-]{27}(?![A-Za-z0-9_-])")

_Rows = TypeVar("_Rows")
_request: ContextVar[Any] = ContextVar("request of the viewer", default=None)


@contextmanager
def viewed_by(request: Any) -> Iterator[None]:
    """Makes the request's user the viewer until the end of the block.

    It reads `request.user` only when something is shown, because the API sets it late.
    """
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def seen_through(request: Any, content: Iterable[Any]) -> Iterator[Any]:
    """Yields the pieces of a streamed answer, and makes each one for its viewer."""
    pieces = iter(content)
    while True:
        with viewed_by(request):
            try:
                piece = next(pieces)
            except StopIteration:
                return
        yield piece


def may(permission: str) -> bool:
    """Whether the viewer has a permission, written `app.codename`."""
    request = _request.get()
    return request is None or bool(request.user.has_perm(permission))


def may_look_at(model: type[Model]) -> bool:
    """Whether the viewer has the permission to view rows of this table."""
    return may(f"{model._meta.app_label}.{get_permission_codename('view', model._meta)}")


def may_see_contents() -> bool:
    """Whether the viewer may read what followers and this site write to each other."""
    return may("events.view_message_contents")


def may_see_openids() -> bool:
    """Whether the viewer may see OpenIDs whole."""
    return may("events.view_openids_in_clear")


def shown_openid(openid: str) -> str:
    """An OpenID as the viewer may see it: whole, or only its last four characters.

    The four characters let a viewer tell rows apart. A text of up to eight characters is hidden
    completely.
    """
    if not openid or may_see_openids():
        return openid
    return f"{HIDDEN}{openid[-4:]}" if len(openid) > 8 else HIDDEN


def without_openids(text: str) -> str:
    """Masks all OpenIDs in a text, unless the viewer may see them."""
    if may_see_openids():
        return text
    return _OPENID.sub(lambda found: shown_openid(found[0]), text)


def account_ids(user: Any) -> frozenset[int] | None:
    """The accounts to which a user, or the API key in use, is limited; None means all."""
    if not hasattr(user, "_account_ids"):
        user._account_ids = _limit_of(user)
    ids: frozenset[int] | None = user._account_ids
    return ids


def limited_to(user: Any, accounts: Iterable[int]) -> None:
    """Limits this user object, the owner of an API key, to the key's accounts too."""
    own = account_ids(user)
    narrow = frozenset(accounts)
    user._account_ids = narrow if own is None else own & narrow


def _limit_of(user: Any) -> frozenset[int] | None:
    if not user.is_authenticated:
        return frozenset()
    if user.is_superuser:
        return None
    limit = getattr(user, "account_limit", None)
    return None if limit is None else frozenset(limit.accounts.values_list("pk", flat=True))


def visible_to(user: Any, rows: _Rows, account: str = "account") -> _Rows:
    """Filters rows by the accounts that this user may see; `account` is the path to the id."""
    ids = account_ids(user)
    if ids is None:
        # Leave the query unchanged, so that users without a limit keep the query plan.
        return rows
    narrowed: _Rows = rows.filter(**{f"{account}__in": sorted(ids)})  # type: ignore[attr-defined]
    return narrowed

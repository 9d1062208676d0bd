"""The lists of the inbox: each walks along one index, however many conversations there are."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from subscribers.models import Conversation

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["CLOSING_WITHIN", "COUNTED_UP_TO", "LISTS", "beyond", "in_list", "length_of"]

LISTS: dict[str, StrOrPromise] = {
    "waiting": _("Waiting for an answer"),
    "closing": _("Window closes soon"),
    "mine": _("Mine"),
    "all": _("All"),
}
CLOSING_WITHIN = datetime.timedelta(hours=3)
# Longer lists are not counted to their end.
COUNTED_UP_TO = 100


def in_list(
    rows: QuerySet[Conversation], name: str, user_id: int | None, now: datetime.datetime
) -> QuerySet[Conversation]:
    """One list of conversations in its order.

    Followers who wait are sorted by the end of their window, all others newest first.
    """
    match name:
        case "waiting" | "closing":
            waiting = rows.filter(
                waiting_since__isnull=False,
                is_done=False,
                window_until__gt=now,
                subscriber__is_following=True,
            )
            if name == "closing":
                waiting = waiting.filter(window_until__lte=now + CLOSING_WITHIN)
            return waiting.order_by("window_until", "pk")
        case "mine":
            return rows.filter(assigned_to=user_id, is_done=False).order_by("-last_at", "-pk")
        case _:
            return rows.order_by("-last_at", "-pk")


def beyond(
    rows: QuerySet[Conversation], name: str, at: datetime.datetime, pk: int
) -> QuerySet[Conversation]:
    """The rows of a list after the one with this time and id."""
    if name in {"waiting", "closing"}:
        later = Q(window_until__gt=at) | Q(pk__gt=pk)
        return rows.filter(later, window_until__gte=at)
    return rows.filter(Q(last_at__lt=at) | Q(pk__lt=pk), last_at__lte=at)


def length_of(rows: QuerySet[Conversation]) -> int:
    """The number of rows in a list, at most COUNTED_UP_TO + 1."""
    return len(rows.order_by().values_list("pk", flat=True)[: COUNTED_UP_TO + 1])

"""Reads the texts that no rule matched from their counts by day."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import Max, Sum
from django.utils import timezone

from events.binding_scenes import mask_codes
from events.models import UnmatchedDay
from events.stats.days import Days

__all__ = ["UnmatchedText", "unmatched_texts"]


@dataclass(frozen=True, slots=True)
class UnmatchedText:
    """A text that followers wrote and no rule matched; `last_at` is when it came last.

    `people` is the sum of the people of each day.
    """

    account_id: int
    text: str
    messages: int
    people: int
    last_at: datetime.datetime


def unmatched_texts(days: Days, *, limit: int) -> list[UnmatchedText]:
    """Returns the texts of these days that no rule matched, the most frequent first."""
    rows = UnmatchedDay.objects.filter(days.within("account", "start")).order_by()
    now = timezone.now()
    return [
        UnmatchedText(account_id, mask_codes(text, last_at, now=now), messages, people, last_at)
        for account_id, text, messages, people, last_at in rows.values_list("account", "text")
        .annotate(number=Sum("messages"), persons=Sum("people"), last=Max("last_at"))
        .order_by("-number", "-last", "text")[:limit]
    ]

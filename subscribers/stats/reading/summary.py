"""The main numbers of a span of days in one table, beside those of as many days before."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from events.stats.days import Days
from events.stats.periods import Period
from events.stats.reading.overview import kind_totals
from events.stats.reading.queries import NOT_EVENTS, Span
from events.stats.reading.rows import Totals
from events.stats.series import FOLLOW, MENU_KINDS, MESSAGES, UNFOLLOW
from subscribers.models import FollowingChange, OutgoingMessage

__all__ = ["SummaryRow", "followers_at_end", "messages_sent", "summary"]


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One number of a span, and the same number of as many days before."""

    measure: str
    value: int
    previous: int
    difference: int


def summary(span: Span) -> list[SummaryRow]:
    """The numbers of a span's days, beside those of as many days before."""
    days = Days([span.account], span.first, span.last)
    kinds = kind_totals(days)
    now, before = (
        _measures({kind: totals[which] for kind, totals in kinds.items()}, following, sent)
        for which, following, sent in zip(
            (0, 1), followers_at_end(days), messages_sent(days), strict=True
        )
    )
    return [
        SummaryRow(measure, value, before[measure], value - before[measure])
        for measure, value in now.items()
    ]


def _measures(kinds: Mapping[str, Totals], following: int, sent: int) -> dict[str, int]:
    nothing = Totals()
    new, cancelled = (kinds.get(kind, nothing).people for kind in (FOLLOW, UNFOLLOW))
    messages = kinds.get(MESSAGES, nothing)
    taps = [kinds.get(kind, nothing) for kind in MENU_KINDS]
    return {
        "new": new,
        "cancelled": cancelled,
        "net": new - cancelled,
        "cumulative": following,
        "events": sum(
            totals.events for kind, totals in kinds.items() if not kind.startswith(NOT_EVENTS)
        ),
        "messages": messages.events,
        "answered": messages.answered,
        "unanswered": messages.unanswered,
        "menu_clicks": sum(totals.events for totals in taps),
        "menu_unanswered": sum(totals.unanswered for totals in taps),
        "messages_sent": sent,
    }


def followers_at_end(days: Days) -> tuple[int, int]:
    """How many people followed at the end of these days, or now; and at their beginning."""
    known = {which: Q(pk__in=[]) for which in ("now", "before")}
    for name, ids in days.by_zone.items():
        start, end = days.bounds(zoneinfo.ZoneInfo(name))
        known["now"] |= Q(account__in=ids, start__lt=end)
        known["before"] |= Q(account__in=ids, start__lt=start)
    counted = FollowingChange.objects.filter(known["now"], period=Period.DAY.code).aggregate(
        now=Sum("more", default=0), before=Sum("more", filter=known["before"], default=0)
    )
    return counted["now"], counted["before"]


def messages_sent(days: Days) -> tuple[int, int]:
    """Customer-service messages sent in these days, and in as many days before."""
    now, before = (each.within("account", "sent_at") for each in (days, days.before))
    sent = OutgoingMessage.objects.filter(now | before, state=OutgoingMessage.State.SENT)
    counted = sent.aggregate(now=Count("pk", filter=now), before=Count("pk", filter=before))
    return counted["now"], counted["before"]

"""Sums up the numbers of several accounts, each by its own calendar.

An OpenID belongs to one account. So people of different accounts count as different people, and
their numbers may be added up. Over several days `people` is the sum of the people of each day.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from events.db.among import Among
from events.models import PeriodCount, Series
from events.stats.days import Days
from events.stats.facts import MEASURES
from events.stats.periods import Period
from events.stats.reading.queries import NOT_EVENTS, Seconds
from events.stats.reading.rows import Totals
from events.stats.series import MENU_KINDS

__all__ = [
    "EntryTotals",
    "counts_of",
    "entry_totals",
    "hours_of_week",
    "kind_totals",
    "people_by_day",
    "people_by_hour",
]


@dataclass(frozen=True, slots=True)
class EntryTotals:
    """Taps on one menu entry, the unanswered ones among them, and those of as many days before."""

    account_id: int
    kind: str
    key: str
    taps: int
    people: int
    unanswered: int
    taps_before: int


def counts_of(days: Days, period: Period, **series: Any) -> QuerySet[PeriodCount]:
    """Selects the counts of some series in these days, and perhaps of a few hours more.

    The hours more come in if the accounts have different midnights; `Days.within` removes them.
    """
    chosen = Series.objects.filter(account__in=[account.pk for account in days.accounts], **series)
    return PeriodCount.objects.filter(
        Among("series", chosen.values("pk")), days.around("start"), period=period.code
    )


def kind_totals(days: Days) -> Mapping[str, tuple[Totals, Totals]]:
    """Returns the totals by kind: of these days, and of as many days before."""
    now, before = (each.within("series__account", "start") for each in (days, days.before))
    rows = (
        counts_of(days.with_before, Period.DAY, key="")
        .filter(now | before)
        .order_by()
        .values_list("series__kind")
        .annotate(
            **{f"now_{name}": Sum(name, filter=now, default=0) for name in MEASURES},
            **{f"before_{name}": Sum(name, filter=before, default=0) for name in MEASURES},
        )
    )
    half = len(MEASURES)
    return {kind: (Totals(*values[:half]), Totals(*values[half:])) for kind, *values in rows}


def entry_totals(days: Days) -> list[EntryTotals]:
    """Returns the tapped menu entries, most taps first, with the numbers of the days before."""
    now, before = (each.within("series__account", "start") for each in (days, days.before))
    rows = (
        counts_of(days.with_before, Period.DAY, kind__in=MENU_KINDS)
        .filter(now | before)
        .exclude(series__key="")
        .order_by()
        .values_list("series__account", "series__kind", "series__key")
        .annotate(
            taps=Sum("events", filter=now, default=0),
            persons=Sum("people", filter=now, default=0),
            missed=Sum("unanswered", filter=now, default=0),
            taps_before=Sum("events", filter=before, default=0),
        )
    )
    found = [EntryTotals(*row) for row in rows]
    return sorted(found, key=lambda row: (-row.taps, -row.taps_before, row.kind, row.key))


def people_by_day(days: Days, kinds: Sequence[str]) -> Mapping[str, Mapping[datetime.date, int]]:
    """Returns the distinct people of each kind on each day."""
    found: Mapping[str, defaultdict[datetime.date, int]] = {
        kind: defaultdict(int) for kind in kinds
    }
    for account_id, kind, start, people in _people(days, kinds, Period.DAY):
        found[kind][start.astimezone(days.zones[account_id]).date()] += people
    return found


def people_by_hour(days: Days, kinds: Sequence[str]) -> Mapping[str, Mapping[int, int]]:
    """Returns the distinct people of each kind in each hour of the clock, for a single day."""
    found: Mapping[str, defaultdict[int, int]] = {kind: defaultdict(int) for kind in kinds}
    for account_id, kind, start, people in _people(days, kinds, Period.HOUR):
        found[kind][start.astimezone(days.zones[account_id]).hour] += people
    return found


def _people(
    days: Days, kinds: Sequence[str], period: Period
) -> Iterable[tuple[int, str, datetime.datetime, int]]:
    return (
        counts_of(days, period, kind__in=kinds, key="")
        .filter(days.within("series__account", "start"))
        .order_by()
        .values_list("series__account", "series__kind", "start", "people")
    )


def hours_of_week(days: Days) -> Sequence[Sequence[int]]:
    """Returns followers' events by weekday, from Monday, and hour of the accounts' clocks."""
    rows = counts_of(days, Period.HOUR, key="").filter(days.within("series__account", "start"))
    for prefix in NOT_EVENTS:
        rows = rows.exclude(series__kind__startswith=prefix)
    numbers = [[0] * 24 for _ in range(7)]
    counted = (
        rows.order_by()
        .annotate(seconds=Seconds("start"))
        .values_list("series__account", "seconds")
        .annotate(Sum("events"))
    )
    for account_id, seconds, events in counted:
        local = datetime.datetime.fromtimestamp(seconds, days.zones[account_id])
        numbers[local.weekday()][local.hour] += events
    return numbers

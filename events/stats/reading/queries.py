"""Reads the numbers of events from the roll-ups, as typed rows for pages and the API.

A function takes a `Span` and yields a row for each of its periods, also for those without events.
It makes a fixed number of database queries, and reads only roll-ups.
"""

from __future__ import annotations

import bisect
import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Func, Sum
from django.utils import timezone

from events.db.among import Among
from events.menus.names import MenuNames
from events.models import HealthCount, OfficialAccount, PeriodCount, Series
from events.stats.facts import MEASURES
from events.stats.periods import Period, day_start, next_start, starts_between
from events.stats.reading.rows import EventRow, HealthRow, HourRow, MenuRow, MessageRow, Totals
from events.stats.series import MENU_KINDS, MESSAGES

__all__ = [
    "LONGEST_SPAN",
    "NOT_EVENTS",
    "EventRow",
    "HealthRow",
    "HourRow",
    "MenuRow",
    "MessageRow",
    "Seconds",
    "Slot",
    "Span",
    "event_counts",
    "health_counts",
    "hours_of_week",
    "menu_counts",
    "messages_in",
    "people_and_events",
]

# In days; about five years.
LONGEST_SPAN = 5 * 366
_DAY = datetime.timedelta(days=1)
# Series in one statement.
_SERIES = 1000
# Kinds that followers do not cause begin with one of these.
NOT_EVENTS = ("import.", "reconcile.", "stats.")


@dataclass(frozen=True, slots=True)
class Slot:
    """One period of a span. `is_complete` says that it is over."""

    start: datetime.datetime
    end: datetime.datetime
    is_complete: bool


@dataclass(frozen=True)
class Span:
    """The days from `first` to `last` of an account, divided into periods.

    Weeks and months that overlap these days are whole, because people are counted once for each
    whole period, and cannot be counted for a part of it.
    """

    account: OfficialAccount
    first: datetime.date
    last: datetime.date
    interval: Period = Period.DAY

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return self.account.zone

    @functools.cached_property
    def slots(self) -> Sequence[Slot]:
        now = timezone.now()
        starts = list(starts_between(self.first, self.last, self.interval, self.zone))
        ends = [*starts[1:], next_start(starts[-1], self.interval, self.zone)]
        return [
            Slot(start.astimezone(self.zone), end, end <= now)
            for start, end in zip(starts, ends, strict=True)
        ]

    @property
    def start(self) -> datetime.datetime:
        return self.slots[0].start

    @property
    def end(self) -> datetime.datetime:
        return self.slots[-1].end

    @property
    def before(self) -> Span:
        """The same number of days just before these."""
        days = self.last - self.first + _DAY
        return Span(self.account, self.first - days, self.last - days, self.interval)

    def place_of(self, seconds: int) -> int:
        """Returns the index of the slot that contains a moment, given in seconds since 1970.

        A count by the days of a former time zone does not begin with a slot: the worker has not
        recounted it yet, or retention has removed its events.
        """
        place = self.places.get(seconds)
        return bisect.bisect(self._begins, seconds) - 1 if place is None else place

    @functools.cached_property
    def _begins(self) -> Sequence[int]:
        return list(self.places)

    @functools.cached_property
    def places(self) -> Mapping[int, int]:
        """Maps the beginning of each slot, in seconds since 1970, to the slot's index."""
        return {int(slot.start.timestamp()): place for place, slot in enumerate(self.slots)}


class Seconds(Func):
    """A time in seconds since 1970. Python reads it in a fifth of the time of SQLite's texts."""

    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        # Doubled twice: once for the template, and once for the parameters.
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, **more)

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = "EXTRACT(EPOCH FROM %(expressions)s)::bigint"
        return self.as_sql(compiler, connection, template=template, **more)


_NOTHING = Totals()


def event_counts(
    span: Span, *, by_key: bool = False, kinds: Iterable[str] | None = None
) -> Iterator[EventRow]:
    """Yields events by kind, or by kind and key; by default of all kinds that followers cause."""
    counts = _counts(span, by_key=by_key, kinds=kinds)
    for kind, key in sorted(counts):
        if kind.startswith(NOT_EVENTS):
            continue
        for place, slot in enumerate(span.slots):
            total = counts[kind, key].get(place, _NOTHING)
            yield EventRow(slot.start, kind, key, total.events, total.people, slot.is_complete)


def menu_counts(span: Span) -> Iterator[MenuRow]:
    """Yields taps by menu entry, with the names that the menus gave the keys."""
    counts = _counts(span, by_key=True, kinds=MENU_KINDS)
    names = MenuNames([span.account.pk] if counts else [])
    for kind, key in sorted(counts):
        name = names.of_key(span.account.pk, kind, key)
        for place, slot in enumerate(span.slots):
            total = counts[kind, key].get(place, _NOTHING)
            yield MenuRow(
                slot.start,
                kind,
                key,
                name.path if name else "",
                total.events,
                total.people,
                total.unanswered,
                slot.is_complete,
            )


def messages_in(span: Span) -> Iterator[MessageRow]:
    """Yields followers' messages, and how many of them were answered."""
    counts = _counts(span, by_key=False, kinds=[MESSAGES]).get((MESSAGES, ""), {})
    for place, slot in enumerate(span.slots):
        total = counts.get(place, _NOTHING)
        yield MessageRow(
            slot.start,
            "in",
            total.events,
            total.people,
            total.answered,
            total.unanswered,
            round(total.waited_ms / total.answered) if total.answered else None,
            slot.is_complete,
        )


def hours_of_week(span: Span, *, kinds: Iterable[str] | None = None) -> Iterator[HourRow]:
    """Yields events by weekday and hour of the account's clock, summed up over the days."""
    series = Series.objects.filter(account=span.account, key="")
    if kinds is not None:
        series = series.filter(kind__in=list(kinds))
    else:
        for prefix in NOT_EVENTS:
            series = series.exclude(kind__startswith=prefix)
    rows = PeriodCount.objects.filter(
        Among("series", series.values("pk")),
        period=Period.HOUR.code,
        start__gte=day_start(span.first, span.zone),
        start__lt=day_start(span.last + _DAY, span.zone),
    )
    numbers: defaultdict[tuple[int, int], int] = defaultdict(int)
    for start, events in rows.order_by().values_list("start").annotate(Sum("events")):
        local = start.astimezone(span.zone)
        numbers[local.isoweekday(), local.hour] += events
    for weekday in range(1, 8):
        for hour in range(24):
            yield HourRow(weekday, hour, numbers[weekday, hour])


def health_counts(span: Span) -> Iterator[HealthRow]:
    """Yields what became of pushes, by the time of their receipt."""
    names = (
        *("received", "answered", "within_1s", "within_5s", "unanswered", "repeated"),
        *("failed", "mended", "unreadable", "quarantined"),
    )
    rows = HealthCount.objects.filter(
        account=span.account, start__gte=span.start, start__lt=span.end
    ).order_by("start")
    totals = [[0] * len(names) for _ in span.slots]
    place = 0
    for start, *values in rows.values_list("start", *names):
        while start >= span.slots[place].end:
            place += 1
        for measure, value in enumerate(values):
            totals[place][measure] += value
    for slot, values in zip(span.slots, totals, strict=True):
        yield HealthRow(
            start=slot.start,
            complete=slot.is_complete,
            **dict(zip(names, values, strict=True)),
        )


def _counts(
    span: Span, *, by_key: bool, kinds: Iterable[str] | None
) -> dict[tuple[str, str], dict[int, Totals]]:
    """Returns the counts of each kind and key, by the index of the slot."""
    series = Series.objects.filter(account=span.account)
    series = series.exclude(key="") if by_key else series.filter(key="")
    if kinds is not None:
        series = series.filter(kind__in=list(kinds))
    rows = PeriodCount.objects.filter(
        Among("series", series.values("pk")),
        period=span.interval.code,
        start__gte=span.start,
        start__lt=span.end,
    )
    found: defaultdict[int, defaultdict[int, Totals]] = defaultdict(lambda: defaultdict(Totals))
    values_of = rows.annotate(seconds=Seconds("start")).values_list("series", "seconds", *MEASURES)
    for pk, seconds, *values in values_of:
        found[pk][span.place_of(seconds)].add(*values)
    return {(kind, key): found[pk] for pk, kind, key in _names_of(list(found))}


def _names_of(series: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    """Yields kind and key of each series, read once per series instead of with each count."""
    for place in range(0, len(series), _SERIES):
        some = Series.objects.filter(pk__in=series[place : place + _SERIES])
        yield from some.values_list("pk", "kind", "key")


def people_and_events(
    span: Span, kinds: Iterable[str]
) -> Mapping[str, Mapping[int, tuple[int, int]]]:
    """Returns events and people of whole kinds, by kind and index of the slot."""
    return {
        kind: {place: (total.events, total.people) for place, total in totals.items()}
        for (kind, _), totals in _counts(span, by_key=False, kinds=kinds).items()
    }

"""Counts by month and day how often each person acted, for the most active followers.

Acts are the events that `Subscriber.event_count` counts. Results of notices and audits that name a
person are no acts.
"""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from django.db import connection, transaction
from django.db.models import Q

from events.db.lookup import Lookup
from events.db.upsert import Upsert
from events.kinds import Effect, kinds_where
from events.models import EventLog, OpenEvent
from events.stats.changes import Batch, counter, on_zone_change
from events.stats.counting.rebuild import Difference
from events.stats.counting.roll_up import held_progress, states_of_accounts
from events.stats.periods import day_start, starts_of
from subscribers.models import FollowerMonth

__all__ = ["count_activity", "days_of", "recount_months"]

_ACTS = frozenset(
    kinds_where(lambda kind: kind.effect not in (None, Effect.FOUND_FOLLOWING, Effect.FOUND_GONE))
)
_NO_EVENTS = (EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED)
# Account id, OpenID and first day of the month.
_Month: TypeAlias = "tuple[int, str, datetime.date]"
# Events by day of the month.
_Days: TypeAlias = "dict[int, int]"


@counter
def count_activity(batch: Batch) -> None:
    """Adds the acts of a batch of events to the months of their people."""
    more: defaultdict[_Month, _Days] = defaultdict(lambda: defaultdict(int))
    for fact, before in batch.changes:
        difference = fact.counted.is_event - before.is_event
        if difference and fact.openid and fact.kind in _ACTS:
            zone = batch.zones[fact.account_id]
            month, day = _month_and_day(starts_of(fact.event_time, zone)[1], zone)
            more[fact.account_id, fact.openid, month][day] += difference
    _write(_sums(more))


@functools.lru_cache(maxsize=5000)
def _month_and_day(start: datetime.datetime, zone: zoneinfo.ZoneInfo) -> tuple[datetime.date, int]:
    """The month, as its first day, and the day of the month, of the day that begins at `start`."""
    day = start.astimezone(zone).date()
    return day.replace(day=1), day.day


def _day(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.date:
    return starts_of(moment, zone)[1].astimezone(zone).date()


def days_of(written: str) -> _Days:
    """Reads `FollowerMonth.days`: the number of events by day of the month."""
    pairs = (pair.split(":") for pair in written.split())
    return {int(day): int(events) for day, events in pairs}


def _sums(more: Mapping[_Month, _Days]) -> dict[_Month, _Days]:
    """Adds the numbers in `more` to those that are stored for the same months."""
    keys = ((openid, account_id, month) for account_id, openid, month in more)
    sums = dict(more)
    for account_id, openid, month, written in _stored().execute(connection, keys):
        stored = days_of(written)
        for day, events in more[account_id, openid, month].items():
            stored[day] = stored.get(day, 0) + events
        sums[account_id, openid, month] = stored
    return sums


@functools.cache
def _stored() -> Lookup:
    return Lookup(
        FollowerMonth,
        key=("openid", "account_id", "month"),
        columns=("account_id", "openid", "month", "days"),
    )


@functools.cache
def _replacement() -> Upsert:
    return Upsert(
        FollowerMonth,
        key=("openid", "account_id", "month"),
        values=("events", "days"),
        update={name: f"excluded.{name}" for name in ("events", "days")},
    )


def _write(months: Mapping[_Month, _Days]) -> None:
    rows = [
        (
            openid,
            account_id,
            month,
            sum(days.values()),
            " ".join(f"{day}:{days[day]}" for day in sorted(days) if days[day]),
        )
        for (account_id, openid, month), days in months.items()
    ]
    if rows:
        _replacement().execute(connection, sorted(rows))


# --- Counting anew -------------------------------------------------------------------------------


@on_zone_change
def count_in_zone(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    """Counts an account's months anew, except those from which retention removed events."""
    frozen = states_of_accounts()[account_id].frozen_before
    known = FollowerMonth.objects.filter(account=account_id).order_by("month")
    first = known.values_list("month", flat=True).first()
    last = known.values_list("month", flat=True).last()
    if first is None or last is None:
        return
    # In the other time zone, the first and last events may be in the months before and after.
    for month in _months(_before(first), _after(last)):
        if frozen is None or day_start(month, zone) >= frozen:
            _recount(account_id, month, zone)


def recount_months(
    account_id: int, first: datetime.datetime, last: datetime.datetime
) -> Iterator[Difference]:
    """Counts the months between these moments anew, and yields the numbers that differed."""
    state = states_of_accounts()[account_id]
    zone, frozen = state.zone, state.frozen_before
    for month in _known_months(account_id, first, last, zone):
        start = day_start(month, zone)
        if frozen is not None and start < frozen:
            continue
        with transaction.atomic():
            held_progress()
            for was, now in _recount(account_id, month, zone):
                yield Difference("events of one person by month", start, was, now)


def _known_months(
    account_id: int, first: datetime.datetime, last: datetime.datetime, zone: zoneinfo.ZoneInfo
) -> list[datetime.date]:
    """The months between these moments that have stored numbers or events."""
    wanted = [_day(moment, zone).replace(day=1) for moment in (first, last)]
    stored = set(
        FollowerMonth.objects.filter(account=account_id, month__range=wanted)
        .values_list("month", flat=True)
        .distinct()
    )
    rows = EventLog.objects.filter(account=account_id, event_time__range=(first, last))
    oldest, newest = (
        rows.order_by(order).values_list("event_time", flat=True).first()
        for order in ("event_time", "-event_time")
    )
    if oldest is not None and newest is not None:
        stored |= set(_months(_day(oldest, zone).replace(day=1), _day(newest, zone)))
    return sorted(stored)


def _recount(
    account_id: int, month: datetime.date, zone: zoneinfo.ZoneInfo
) -> list[tuple[int, int]]:
    """Counts one month anew; returns the old and new number of each person whose days differ."""
    counted = _of_log(account_id, month, zone)
    rows = FollowerMonth.objects.filter(account=account_id, month=month)
    stored = {openid: (events, days_of(days)) for openid, events, days in rows.values_list(
        "openid", "events", "days"
    )}  # fmt: skip
    differences = []
    changed: dict[_Month, _Days] = {}
    gone = []
    for openid in sorted(stored.keys() | counted.keys()):
        events, days = stored.get(openid, (0, {}))
        now = counted.get(openid, {})
        if days == now and events == sum(now.values()):
            if not now:
                gone.append(openid)
            continue
        differences.append((events, sum(now.values())))
        if now:
            changed[account_id, openid, month] = now
        else:
            gone.append(openid)
    rows.filter(openid__in=gone).delete()
    _write(changed)
    return differences


def _of_log(account_id: int, month: datetime.date, zone: zoneinfo.ZoneInfo) -> dict[str, _Days]:
    """The log's events of a month, by OpenID and day, as far as they are counted."""
    uncounted = OpenEvent.objects.filter(status=EventLog.Status.QUARANTINED)
    rows = (
        EventLog.objects.filter(
            ~Q(openid=""),
            ~Q(status__in=_NO_EVENTS),
            account=account_id,
            event_time__gte=day_start(month, zone),
            event_time__lt=day_start(_after(month), zone),
            pk__lte=held_progress().last_id,
        )
        .exclude(pk__in=uncounted.values("pk"))
        .values_list("openid", "event_time", "kind")
    )
    found: defaultdict[str, _Days] = defaultdict(lambda: defaultdict(int))
    for openid, at, kind in rows.iterator(chunk_size=2000):
        # Not in the query, or SQLite would walk through all events of these kinds.
        if kind in _ACTS:
            found[openid][_day(at, zone).day] += 1
    return found


def _before(month: datetime.date) -> datetime.date:
    return (month - datetime.timedelta(days=1)).replace(day=1)


def _after(month: datetime.date) -> datetime.date:
    return (month + datetime.timedelta(days=31)).replace(day=1)


def _months(first: datetime.date, last: datetime.date) -> Iterable[datetime.date]:
    month = first
    while month <= last:
        yield month
        month = _after(month)

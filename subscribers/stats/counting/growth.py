"""Stores intervals of following, and the growth by hour and day that follows from them."""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias

from django.db import connection

from events.db.lookup import Lookup
from events.db.upsert import Upsert
from events.stats.changes import on_zone_change
from events.stats.periods import starts_of
from subscribers.models import FollowingChange, FollowingInterval

__all__ = [
    "Interval",
    "Person",
    "add_changes",
    "changes_of",
    "recount_changes",
    "stored_intervals",
    "write_intervals",
]

# Account id and OpenID.
Person: TypeAlias = "tuple[int, str]"
# The start and the end; the end is None while the person follows.
Interval: TypeAlias = "tuple[datetime.datetime, datetime.datetime | None]"
# By how many people the followers grew, by account id, period and start.
_Changes: TypeAlias = "defaultdict[tuple[int, str, datetime.datetime], int]"


def stored_intervals(people: Iterable[Person]) -> defaultdict[Person, list[Interval]]:
    """The intervals of these people, each person's in the order of time."""
    found: defaultdict[Person, list[Interval]] = defaultdict(list)
    keys = ((openid, account_id) for account_id, openid in people)
    for account_id, openid, started_at, ended_at in _stored().execute(connection, keys):
        found[account_id, openid].append((started_at, ended_at))
    for intervals in found.values():
        # Sorting by the start is enough: no two intervals begin at the same time.
        intervals.sort(key=itemgetter(0))
    return found


@functools.cache
def _stored() -> Lookup:
    return Lookup(
        FollowingInterval,
        key=("openid", "account_id"),
        columns=("account_id", "openid", "started_at", "ended_at"),
    )


@functools.cache
def _addition() -> Upsert:
    return Upsert(
        FollowingChange,
        key=("account_id", "period", "start"),
        values=("more",),
        update={"more": "old.more + excluded.more"},
    )


@functools.cache
def _replacement() -> Upsert:
    return Upsert(
        FollowingInterval,
        key=("openid", "account_id", "started_at"),
        values=("ended_at",),
        update={"ended_at": "excluded.ended_at"},
    )


def write_intervals(
    before: Mapping[Person, Sequence[Interval]],
    after: Mapping[Person, Sequence[Interval]],
    zones: Mapping[int, zoneinfo.ZoneInfo],
) -> int:
    """Replaces the intervals `before` by `after`, and updates the counts of growth.

    Returns for how many people the intervals changed.
    """
    gone: list[tuple[int, str, datetime.datetime]] = []
    new: list[tuple[str, int, datetime.datetime, datetime.datetime | None]] = []
    more: _Changes = defaultdict(int)
    changed = 0
    for person, intervals in after.items():
        account_id, openid = person
        was, now = set(before.get(person, ())), set(intervals)
        if was == now:
            continue
        changed += 1
        started = {start for start, _ in now}
        gone += [(account_id, openid, start) for start, _ in was if start not in started]
        new += [(openid, account_id, start, end) for start, end in now - was]
        for sign, those in ((-1, was - now), (1, now - was)):
            for start, end in those:
                _add(more, account_id, start, sign, zones[account_id])
                if end is not None:
                    _add(more, account_id, end, -sign, zones[account_id])
    if gone:
        starts = set(gone)
        rows = FollowingInterval.objects.filter(
            openid__in={openid for _, openid, _ in gone},
            account__in={account_id for account_id, _, _ in gone},
            started_at__in={start for _, _, start in gone},
        ).values_list("pk", "account_id", "openid", "started_at")
        FollowingInterval.objects.filter(
            pk__in=[pk for pk, *person in rows if tuple(person) in starts]
        ).delete()
    if new:
        _replacement().execute(connection, sorted(new, key=itemgetter(0, 1, 2)))
    add_changes(more)
    return changed


def _add(
    more: _Changes,
    account_id: int,
    at: datetime.datetime,
    number: int,
    zone: zoneinfo.ZoneInfo,
) -> None:
    hour, day, _, _ = starts_of(at, zone)
    more[account_id, "h", hour] += number
    more[account_id, "d", day] += number


def changes_of(account_id: int, zone: zoneinfo.ZoneInfo) -> _Changes:
    """The whole growth of an account that follows from its intervals, in that time zone."""
    more: _Changes = defaultdict(int)
    rows = FollowingInterval.objects.filter(account=account_id)
    for start, end in rows.values_list("started_at", "ended_at").iterator(chunk_size=2000):
        _add(more, account_id, start, 1, zone)
        if end is not None:
            _add(more, account_id, end, -1, zone)
    return more


def add_changes(more: _Changes) -> None:
    """Adds these numbers to the stored growth."""
    rows = sorted((*where, number) for where, number in more.items() if number)
    if rows:
        _addition().execute(connection, rows)


@on_zone_change
def recount_changes(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    """Counts an account's growth anew from the intervals, which do not depend on the zone."""
    FollowingChange.objects.filter(account=account_id).delete()
    add_changes(changes_of(account_id, zone))

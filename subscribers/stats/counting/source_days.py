"""Counts by day the results of each QR code and each way of following.

What an act adds to its day follows from the person's other acts, intervals of following, binding
and way of following. The row of the act keeps these facts too. So a day changes by the difference
between what its acts added before and what they add now, at any time and in any order.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from django.db import connection
from django.db.models import Model, Q

from events.db.lookup import Lookup
from events.db.upsert import Upsert
from events.stats.changes import on_zone_change
from events.stats.periods import starts_of
from subscribers.models import Binding, FollowWay, SceneAct, SourceDay, Subscriber
from subscribers.models.stats.roll_ups import NEVER
from subscribers.stats.counting.growth import Interval, Person, stored_intervals

__all__ = ["MEASURES", "RETENTION_DAYS", "Act", "add_days", "days_of_rows", "people_of", "refresh"]

# The numbers of days after which is counted who stayed.
RETENTION_DAYS = (1, 7, 30)
MEASURES = (
    *("acts", "follows", "first_followers", "following", "bound", "staying"),
    *(f"stayed_{number}" for number in RETENTION_DAYS),
)
_DAY = datetime.timedelta(days=1)
_INSTANT = datetime.timedelta(microseconds=1)
_DERIVED = ("former_at", "former_follow_at", "stayed", "is_first", "is_following", "is_bound")
_ACT = ("account_id", "at", "scene", "openid", "is_follow", *_DERIVED)

# The keys are account id, start of the day, scene and way; values are in the order of MEASURES.
Days: TypeAlias = "defaultdict[tuple[int, datetime.datetime, str, str], list[int]]"
_Zones: TypeAlias = "Mapping[int, zoneinfo.ZoneInfo]"


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a person apart from the acts."""

    first_followed_at: datetime.datetime | None
    last_followed_at: datetime.datetime | None
    way: str
    is_bound: bool


_NOBODY = _Known(None, None, "", False)


@dataclasses.dataclass(slots=True)
class Act:
    """A row of SceneAct; it takes a tenth of the time of a model instance."""

    event_id: int
    account_id: int
    at: datetime.datetime
    scene: str
    openid: str
    is_follow: bool
    former_at: datetime.datetime | None = None
    former_follow_at: datetime.datetime | None = None
    stayed: int | None = NEVER
    is_first: bool = False
    is_following: bool = False
    is_bound: bool = False


class _Way(NamedTuple):
    """A row of FollowWay."""

    at: datetime.datetime
    way: str
    stayed: int | None


def refresh(people: Iterable[Person], zones: _Zones, arrivals: Iterable[Act] = ()) -> None:
    """Updates what these people's acts add to their days, in the caller's transaction.

    `arrivals` are acts that may not be stored yet.
    """
    new: defaultdict[Person, list[Act]] = defaultdict(list)
    for act in arrivals:
        new[act.account_id, act.openid].append(act)
    wanted = sorted({*people, *new})
    if not wanted:
        return
    days: Days = defaultdict(lambda: [0] * len(MEASURES))
    intervals, known = stored_intervals(wanted), _known(wanted)
    acts, ways = _acts(wanted), _ways(wanted)
    written: list[tuple[Any, ...]] = []
    changed_ways: list[tuple[Any, ...]] = []
    former_ways: list[int] = []
    for person in wanted:
        (account_id, openid), zone = person, zones[person[0]]
        about, mine = known.get(person, _NOBODY), acts[person]
        was = {act.event_id: _derived(act) for act in mine}
        for act in mine:
            _add_act(days, act, zone, -1)
        mine += [act for act in new[person] if act.event_id not in was]
        for act in _derive(mine, about, intervals[person]):
            if was.get(act.event_id) != _derived(act):
                written.append((act.event_id, *_columns(act)))
            _add_act(days, act, zone, 1)
        pk, former = ways.get(person, (None, None))
        way = _way(about, mine, intervals[person])
        if former is not None:
            _add_way(days, account_id, former, zone, -1)
        if way is not None:
            _add_way(days, account_id, way, zone, 1)
        if way is None and pk is not None:
            former_ways.append(pk)
        elif way is not None and way != former:
            changed_ways.append((openid, account_id, *way))
    if written:
        _act_statement().execute(connection, sorted(written))
    if former_ways:
        FollowWay.objects.filter(pk__in=former_ways).delete()
    if changed_ways:
        _way_statement().execute(connection, sorted(changed_ways))
    add_days(days)


@functools.cache
def _lookup(model: type[Model], *columns: str) -> Lookup:
    """Reads these columns of people's rows, by OpenID and account."""
    return Lookup(model, key=("openid", "account_id"), columns=columns)


@functools.cache
def _bindings() -> Lookup:
    return Lookup(Binding, key=("subscriber_id",), columns=("subscriber_id", "unbound_at"))


def _rows(people: Iterable[Person], model: type[Model], *columns: str) -> Sequence[Sequence[Any]]:
    keys = ((openid, account_id) for account_id, openid in people)
    return _lookup(model, *columns).execute(connection, keys)


def _known(people: Iterable[Person]) -> dict[Person, _Known]:
    rows = _rows(
        people, Subscriber, "id", "account_id", "openid", "first_followed_at", "last_followed_at",
        "subscribe_scene",
    )  # fmt: skip
    bindings = _bindings().execute(connection, ((pk,) for pk, *_ in rows))
    bound = {pk for pk, unbound_at in bindings if unbound_at is None}
    return {
        (account_id, openid): _Known(first, last, way, pk in bound)
        for pk, account_id, openid, first, last, way in rows
    }


def _acts(people: Iterable[Person]) -> defaultdict[Person, list[Act]]:
    found: defaultdict[Person, list[Act]] = defaultdict(list)
    for row in _rows(people, SceneAct, "event_id", *_ACT):
        act = Act(*row)
        found[act.account_id, act.openid].append(act)
    return found


def _ways(people: Iterable[Person]) -> dict[Person, tuple[int, _Way]]:
    rows = _rows(people, FollowWay, "id", "account_id", "openid", *_Way._fields)
    return {(account_id, openid): (pk, _Way(*way)) for pk, account_id, openid, *way in rows}


def _derive(acts: list[Act], about: _Known, intervals: Sequence[Interval]) -> Iterator[Act]:
    """Sets on each of a person's acts what follows from the others; yields them by time."""
    is_following = any(end is None for _, end in intervals)
    last: dict[str, datetime.datetime] = {}
    last_follow: dict[str, datetime.datetime] = {}
    for act in sorted(acts, key=attrgetter("at", "event_id")):
        act.former_at, act.former_follow_at = last.get(act.scene), last_follow.get(act.scene)
        act.stayed = _stayed(act.at, intervals)
        act.is_first = act.is_follow and act.at == about.first_followed_at
        act.is_following, act.is_bound = is_following, about.is_bound
        last[act.scene] = act.at
        if act.is_follow:
            last_follow[act.scene] = act.at
        yield act


def _way(about: _Known, acts: Sequence[Act], intervals: Sequence[Interval]) -> _Way | None:
    """The person's last follow, if no code led to it."""
    at = about.last_followed_at
    if at is None or any(act.is_follow and act.at == at for act in acts):
        return None
    return _Way(at, about.way, _stayed(at, intervals))


def _stayed(at: datetime.datetime, intervals: Sequence[Interval]) -> int | None:
    """For how many whole days the person followed from then on; None if until now.

    An interval of exactly n days counts as n - 1.
    """
    for start, end in intervals:
        if start <= at and (end is None or at < end):
            return None if end is None else (end - at - _INSTANT) // _DAY
    return NEVER


_derived = attrgetter(*_DERIVED)
_columns = attrgetter(*_ACT)


def _add_act(days: Days, act: Act | SceneAct, zone: zoneinfo.ZoneInfo, sign: int) -> None:
    """Adds the numbers of an act to its day, or subtracts them if `sign` is -1."""
    values = days[act.account_id, starts_of(act.at, zone)[1], act.scene, ""]
    values[0] += sign
    if act.is_follow:
        facts = (act.is_first, act.is_following, act.is_bound)
        _add_follow(values, facts, act.stayed, sign)


def _add_way(
    days: Days, account_id: int, way: _Way | FollowWay, zone: zoneinfo.ZoneInfo, sign: int
) -> None:
    """Adds the numbers of a follow by some way to its day, or subtracts them if `sign` is -1."""
    values = days[account_id, starts_of(way.at, zone)[1], "", way.way]
    _add_follow(values, (False, False, False), way.stayed, sign)


def _add_follow(
    values: list[int], facts: tuple[bool, bool, bool], stayed: int | None, sign: int
) -> None:
    reached = (stayed is None or stayed >= number for number in RETENTION_DAYS)
    for place, holds in enumerate((True, *facts, stayed is None, *reached), 1):
        if holds:
            values[place] += sign


@functools.cache
def _act_statement() -> Upsert:
    return Upsert(
        SceneAct,
        key=("event_id",),
        values=_ACT,
        update={name: f"excluded.{name}" for name in _DERIVED},
    )


@functools.cache
def _way_statement() -> Upsert:
    names = _Way._fields
    return Upsert(
        FollowWay,
        key=("openid", "account_id"),
        values=names,
        update={name: f"excluded.{name}" for name in names},
    )


@functools.cache
def _day_statement() -> Upsert:
    return Upsert(
        SourceDay,
        key=("account_id", "start", "scene", "way"),
        values=MEASURES,
        update={name: f"old.{name} + excluded.{name}" for name in MEASURES},
    )


def add_days(days: Days) -> None:
    """Adds these numbers to the stored days."""
    rows = sorted((*where, *values) for where, values in days.items() if any(values))
    if rows:
        _day_statement().execute(connection, rows)


# --- Counting anew -------------------------------------------------------------------------------


def days_of_rows(
    account_id: int,
    zone: zoneinfo.ZoneInfo,
    begin: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
) -> Days:
    """The counts of an account's stored acts and follows, from `begin` to before `end`."""
    days: Days = defaultdict(lambda: [0] * len(MEASURES))
    within = Q(account=account_id)
    if begin is not None:
        within &= Q(at__gte=begin)
    if end is not None:
        within &= Q(at__lt=end)
    for act in SceneAct.objects.filter(within).iterator(chunk_size=2000):
        _add_act(days, act, zone, 1)
    for way in FollowWay.objects.filter(within).iterator(chunk_size=2000):
        _add_way(days, account_id, way, zone, 1)
    return days


def people_of(account_id: int, first: datetime.datetime, last: datetime.datetime) -> set[str]:
    """The OpenIDs of who came by a code or followed between these moments, both included."""
    within = (first, last)
    acts = SceneAct.objects.filter(account=account_id, at__range=within)
    ways = FollowWay.objects.filter(account=account_id, at__range=within)
    people = Subscriber.objects.filter(account=account_id, last_followed_at__range=within)
    return {
        openid for rows in (acts, ways, people) for openid in rows.values_list("openid", flat=True)
    }


@on_zone_change
def recount_days(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    """Counts an account's days anew from its stored acts, which do not depend on the zone."""
    SourceDay.objects.filter(account=account_id).delete()
    add_days(days_of_rows(account_id, zone))

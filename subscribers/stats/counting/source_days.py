"""Keeps by day what came of each QR code and each way of following.

What an act adds to its day follows from the person's other acts, spells of following, binding and
way of following. All this is kept with the act, so a day is brought up to date by the difference
between what its acts added and what they add now, at any time and in any order.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from django.db import connection

from events.db.upsert import Upsert
from events.stats.changes import on_zone_change
from events.stats.periods import starts_of
from subscribers.models import Binding, FollowWay, SceneAct, SourceDay, Subscriber
from subscribers.models.stats.roll_ups import NEVER
from subscribers.stats.counting.growth import Interval, Person, stored_intervals

__all__ = ["MEASURES", "RETENTION_DAYS", "add_days", "days_of_rows", "people_of", "refresh"]

# Days after a follow at which it is counted who still follows.
RETENTION_DAYS = (1, 7, 30)
MEASURES = (
    *("acts", "follows", "first_followers", "following", "bound", "staying"),
    *(f"stayed_{number}" for number in RETENTION_DAYS),
)
_DAY = datetime.timedelta(days=1)
_INSTANT = datetime.timedelta(microseconds=1)
_DERIVED = ("former_at", "former_follow_at", "stayed", "is_first", "is_following", "is_bound")
_ACT = ("account_id", "at", "scene", "openid", "is_follow", *_DERIVED)

# By account id, start of the day, scene and way; the values are in the order of MEASURES.
Days: TypeAlias = "defaultdict[tuple[int, datetime.datetime, str, str], list[int]]"
_Zones: TypeAlias = "Mapping[int, zoneinfo.ZoneInfo]"


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a person, without the acts."""

    first_followed_at: datetime.datetime | None
    last_followed_at: datetime.datetime | None
    way: str
    is_bound: bool


_NOBODY = _Known(None, None, "", False)


def refresh(people: Iterable[Person], zones: _Zones, arrivals: Iterable[SceneAct] = ()) -> None:
    """Updates what these people's acts add to their days.

    `arrivals` are acts that may not be stored yet. It runs in the caller's transaction.
    """
    new: defaultdict[Person, list[SceneAct]] = defaultdict(list)
    for act in arrivals:
        new[act.account_id, act.openid].append(act)
    wanted = {*people, *new}
    if not wanted:
        return
    days: Days = defaultdict(lambda: [0] * len(MEASURES))
    spells, known = stored_intervals(wanted), _known(wanted)
    acts, ways = _acts(wanted), _ways(wanted)
    written: list[tuple[Any, ...]] = []
    changed_ways: list[FollowWay] = []
    for person in sorted(wanted):
        about, zone = known.get(person, _NOBODY), zones[person[0]]
        mine = acts[person]
        stored = {act.pk for act in mine}
        for act in mine:
            _add(days, act, zone, -1)
        mine += [act for act in new[person] if act.pk not in stored]
        for act in _derive(mine, about, spells[person]):
            if act.pk not in stored or act.was != _derived(act):  # type: ignore[attr-defined]
                written.append((act.pk, *_columns(act)))
            _add(days, act, zone, 1)
        was, now = ways.get(person), _way(person, about, mine, spells[person])
        if was is not None:
            _add(days, was, zone, -1)
        if now is not None:
            _add(days, now, zone, 1)
        if (was and _columns_of_way(was)) != (now and _columns_of_way(now)):
            if now is not None:
                changed_ways.append(now)
            elif was is not None:
                FollowWay.objects.filter(pk=was.pk).delete()
    if written:
        _writing().execute(connection, sorted(written))
    if changed_ways:
        _writing_ways().execute(
            connection,
            [(way.openid, way.account_id, *_columns_of_way(way)) for way in changed_ways],
        )
    add_days(days)


def _known(people: Iterable[Person]) -> dict[Person, _Known]:
    wanted = set(people)
    rows = Subscriber.objects.filter(
        openid__in={openid for _, openid in wanted},
        account__in={account_id for account_id, _ in wanted},
    )
    bound = set(
        Binding.objects.active()
        .filter(subscriber__in=rows.order_by().values("pk"))
        .values_list("subscriber", flat=True)
    )
    return {
        (account_id, openid): _Known(first, last, way, pk in bound)
        for pk, account_id, openid, first, last, way in rows.values_list(
            *("pk", "account_id", "openid", "first_followed_at", "last_followed_at"),
            "subscribe_scene",
        )
    }


def _of_people(model: type[Any], people: set[Person]) -> Iterator[tuple[Person, Any]]:
    rows = model._default_manager.filter(
        openid__in={openid for _, openid in people},
        account__in={account_id for account_id, _ in people},
    )
    for row in rows:
        if (row.account_id, row.openid) in people:
            yield (row.account_id, row.openid), row


def _acts(people: set[Person]) -> defaultdict[Person, list[SceneAct]]:
    found: defaultdict[Person, list[SceneAct]] = defaultdict(list)
    for person, act in _of_people(SceneAct, people):
        act.was = _derived(act)
        found[person].append(act)
    return found


def _ways(people: set[Person]) -> dict[Person, FollowWay]:
    return dict(_of_people(FollowWay, people))


def _derive(acts: list[SceneAct], about: _Known, spells: Sequence[Interval]) -> Iterator[SceneAct]:
    """Gives each of a person's acts what follows from the others, in the order of time."""
    is_following = any(end is None for _, end in spells)
    last: dict[str, datetime.datetime] = {}
    last_follow: dict[str, datetime.datetime] = {}
    for act in sorted(acts, key=attrgetter("at", "pk")):
        act.former_at, act.former_follow_at = last.get(act.scene), last_follow.get(act.scene)
        act.stayed = _stayed(act.at, spells)
        act.is_first = act.is_follow and act.at == about.first_followed_at
        act.is_following, act.is_bound = is_following, about.is_bound
        last[act.scene] = act.at
        if act.is_follow:
            last_follow[act.scene] = act.at
        yield act


def _way(
    person: Person, about: _Known, acts: Sequence[SceneAct], spells: Sequence[Interval]
) -> FollowWay | None:
    """The person's last follow, if no code led to it."""
    at = about.last_followed_at
    if at is None or any(act.is_follow and act.at == at for act in acts):
        return None
    account_id, openid = person
    return FollowWay(
        account_id=account_id, openid=openid, at=at, way=about.way, stayed=_stayed(at, spells)
    )


def _stayed(at: datetime.datetime, spells: Sequence[Interval]) -> int | None:
    """For how many whole days, and longer, a person followed from then on; None: until now."""
    for start, end in spells:
        if start <= at and (end is None or at < end):
            return None if end is None else (end - at - _INSTANT) // _DAY
    return NEVER


_derived = attrgetter(*_DERIVED)
_columns = attrgetter(*_ACT)
_columns_of_way = attrgetter("at", "way", "stayed")


def _add(days: Days, row: SceneAct | FollowWay, zone: zoneinfo.ZoneInfo, sign: int) -> None:
    """Adds the numbers of an act, or of a follow of some way, to its day; or takes them away."""
    start = starts_of(row.at, zone)[1]
    if isinstance(row, FollowWay):
        values = days[row.account_id, start, "", row.way]
        follows, facts = True, (False, False, False)
    else:
        values = days[row.account_id, start, row.scene, ""]
        values[0] += sign
        follows, facts = row.is_follow, (row.is_first, row.is_following, row.is_bound)
    if not follows:
        return
    stayed = row.stayed
    reached = (
        True,
        *facts,
        stayed is None,
        *(stayed is None or stayed >= n for n in RETENTION_DAYS),
    )
    for place, holds in enumerate(reached, 1):
        if holds:
            values[place] += sign


@functools.cache
def _writing() -> Upsert:
    return Upsert(
        SceneAct,
        key=("event_id",),
        values=_ACT,
        update={name: f"excluded.{name}" for name in _DERIVED},
    )


@functools.cache
def _writing_ways() -> Upsert:
    names = ("at", "way", "stayed")
    return Upsert(
        FollowWay,
        key=("openid", "account_id"),
        values=names,
        update={name: f"excluded.{name}" for name in names},
    )


@functools.cache
def _addition() -> Upsert:
    return Upsert(
        SourceDay,
        key=("account_id", "start", "scene", "way"),
        values=MEASURES,
        update={name: f"old.{name} + excluded.{name}" for name in MEASURES},
    )


def add_days(days: Days) -> None:
    rows = sorted((*where, *values) for where, values in days.items() if any(values))
    if rows:
        _addition().execute(connection, rows)


# --- Counting anew -------------------------------------------------------------------------------


def days_of_rows(
    account_id: int,
    zone: zoneinfo.ZoneInfo,
    begin: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
) -> Days:
    """What the stored acts and follows of an account come to, from `begin` to before `end`."""
    days: Days = defaultdict(lambda: [0] * len(MEASURES))
    for model in (SceneAct, FollowWay):
        rows: Any = model._default_manager.filter(account=account_id)
        if begin is not None:
            rows = rows.filter(at__gte=begin)
        if end is not None:
            rows = rows.filter(at__lt=end)
        for row in rows.iterator(chunk_size=2000):
            _add(days, row, zone, 1)
    return days


def people_of(account_id: int, first: datetime.datetime, last: datetime.datetime) -> set[str]:
    """Who came through a code or followed between these moments, both included."""
    within = (first, last)
    acts = SceneAct.objects.filter(account=account_id, at__range=within)
    ways = FollowWay.objects.filter(account=account_id, at__range=within)
    people = Subscriber.objects.filter(account=account_id, last_followed_at__range=within)
    return {
        openid for rows in (acts, ways, people) for openid in rows.values_list("openid", flat=True)
    }


@on_zone_change
def recount_days(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    """Counts an account's days anew from what is kept of its acts, which no zone changes."""
    SourceDay.objects.filter(account=account_id).delete()
    add_days(days_of_rows(account_id, zone))

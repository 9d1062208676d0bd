"""Counts by source who followed in a span of days, and how many of them stayed.

A follow's source is its QR code, or the way that WeChat names for the person's last follow
(subscribe_scene). WeChat says nothing about an earlier follow without a code, so its source is
unknown. The follows of all sources together are the follows of the log.
"""

from __future__ import annotations

import functools
import operator
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.db.models import Count, Q, Sum

from events.stats.days import Days
from events.stats.periods import Period
from events.stats.reading.overview import counts_of
from events.stats.series import FOLLOW
from subscribers.models import FollowWay, SceneAct, SourceDay
from subscribers.stats.counting.source_days import RETENTION_DAYS
from subscribers.stats.reading.scene_results import limits_of, stayed_for

__all__ = ["Source", "sources"]

# Account id, scene and way.
_Key: TypeAlias = "tuple[int, str, str]"


@dataclass(slots=True)
class Source:
    """One source: a QR code's `scene`, else the `way` in WeChat's word; both "" if unknown.

    `came` counts the follows of the days, `came_before` those of as many days before.
    `still_following` counts the follows since which the person has not left. For each number of
    days, `due` counts the follows at least that many days ago, and `retained` those of them after
    which the person stayed that long. A source without scene and way has none of these three.
    """

    account_id: int
    scene: str
    way: str
    came: int = 0
    still_following: int = 0
    retained: dict[int, int] = field(default_factory=dict)
    due: dict[int, int] = field(default_factory=dict)
    came_before: int = 0


def sources(days: Days) -> list[Source]:
    """The sources of these days and of as many days before, the largest first."""
    if not days.accounts:
        return []
    zeros = dict.fromkeys(RETENTION_DAYS, 0)
    found: dict[_Key, Source] = {}

    def of(key: _Key) -> Source:
        return found.setdefault(key, Source(*key, retained=dict(zeros), due=dict(zeros)))

    parts = _parts(days)
    for account, scene, way, came, came_before, staying, *numbers in _counted(days, parts):
        source = of((account, scene, way))
        source.came, source.came_before, source.still_following = came, came_before, staying
        _add(source, parts, numbers)
    for account, scene, *numbers in _near(SceneAct, Q(is_follow=True), parts, "scene"):
        _add(of((account, scene, "")), parts, numbers)
    for account, way, *numbers in _near(FollowWay, Q(), parts, "way"):
        _add(of((account, "", way)), parts, numbers)
    known: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for row in found.values():
        known[row.account_id][0] += row.came
        known[row.account_id][1] += row.came_before
    for account_id, came, past in _follows(days):
        unknown = of((account_id, "", ""))
        unknown.came += max(0, came - known[account_id][0])
        unknown.came_before += max(0, past - known[account_id][1])
    rows = [row for row in found.values() if row.came or row.came_before]
    return sorted(rows, key=lambda row: (-row.came, -row.came_before, row.scene, row.way))


def _follows(days: Days) -> Iterable[tuple[int, int, int]]:
    """The number of follows of each account, in these days and in as many days before."""
    now, before = (each.within("series__account", "start") for each in (days, days.before))
    rows = counts_of(days.with_before, Period.DAY, kind=FOLLOW, key="").filter(now | before)
    return (
        rows.order_by()
        .values_list("series__account")
        .annotate(
            came=Sum("events", filter=now, default=0),
            past=Sum("events", filter=before, default=0),
        )
    )


@dataclass(slots=True)
class _Part:
    """Filters of what is at least `number` days ago, by each account's midnight.

    `whole` filters the days that are so long ago from beginning to end, `near` the acts so long ago
    on other days.
    """

    number: int
    whole: Q
    near: Q


def _parts(days: Days) -> list[_Part]:
    nothing = Q(pk__in=[])
    parts = [_Part(number, nothing, nothing) for number in RETENTION_DAYS]
    for name, ids in days.by_zone.items():
        zone = zoneinfo.ZoneInfo(name)
        begin, end = days.bounds(zone)
        for part, limit in zip(parts, limits_of(RETENTION_DAYS, begin, zone), strict=True):
            part.whole |= Q(account__in=ids, start__gte=begin, start__lt=min(end, limit.whole))
            part.near |= Q(account__in=ids, at__gte=limit.whole, at__lt=end, at__lte=limit.at)
    return parts


def _counted(days: Days, parts: Sequence[_Part]) -> Iterable[tuple[Any, ...]]:
    """By source: follows of these days, of as many days before, and follows that still last.

    Then, for each number of days, the follows at least so long ago and those who stayed, counting
    only `whole` days.
    """
    now, before = (each.within("account", "start") for each in (days, days.before))
    sums: dict[str, Any] = {}
    for part in parts:
        sums[f"due_{part.number}"] = Sum("follows", filter=part.whole, default=0)
        sums[f"kept_{part.number}"] = Sum(f"stayed_{part.number}", filter=part.whole, default=0)
    rows = SourceDay.objects.filter(now | before).order_by()
    return rows.values_list("account", "scene", "way").annotate(
        came=Sum("follows", filter=now, default=0),
        came_before=Sum("follows", filter=before, default=0),
        lasting=Sum("staying", filter=now, default=0),
        **sums,
    )


def _near(
    model: type[SceneAct | FollowWay], which: Q, parts: Sequence[_Part], source: str
) -> Iterable[tuple[Any, ...]]:
    """By source, the same two counts for each number of days, counting only `near` acts."""
    counts: dict[str, Any] = {}
    for part in parts:
        counts[f"due_{part.number}"] = Count("pk", filter=part.near)
        counts[f"kept_{part.number}"] = Count("pk", filter=part.near & stayed_for(part.number))
    near = functools.reduce(operator.or_, [part.near for part in parts])
    rows = model._default_manager.filter(which, near).order_by()
    return rows.values_list("account", source).annotate(**counts)


def _add(source: Source, parts: Sequence[_Part], numbers: Sequence[int]) -> None:
    for place, part in enumerate(parts):
        source.due[part.number] += numbers[2 * place]
        source.retained[part.number] += numbers[2 * place + 1]

"""Reads the numbers of followers and codes, as typed rows for pages and the API."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import Sum

from events.stats.periods import Period, day_start
from events.stats.reading.queries import (
    Span,
    people_and_events,
)
from events.stats.series import (
    FOLLOW,
    FOUND_FOLLOWING,
    FOUND_GONE,
    UNFOLLOW,
)
from subscribers.models import FollowingChange, QRScene
from subscribers.stats.counting.source_days import RETENTION_DAYS
from subscribers.stats.reading.scene_results import results_of_scenes

__all__ = [
    "RETENTION_DAYS",
    "FollowerRow",
    "SceneRow",
    "follower_counts",
    "scene_counts",
]

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FollowerRow:
    """Followers in one period.

    `new` and `cancelled` count distinct people with a follow or an unfollow; `net` is the
    difference. `cumulative` counts who follows at the end, by the log as it is known now.
    `found_following` and `found_gone` were found by comparing with WeChat, and are no acts.
    """

    start: datetime.datetime
    new: int
    cancelled: int
    net: int
    cumulative: int
    found_following: int
    found_gone: int
    complete: bool


@dataclass(frozen=True, slots=True)
class SceneRow:
    """Results of one QR code in a span. `name` is "" for a code that was made elsewhere.

    `scans` counts all follows and scans by it, `people` the distinct people. `follows` counts
    follows of people who did not follow, `first_followers` the people whose first follow it was.
    Of the people who followed by it, `still_following` counts who follows now, and `bound` who is
    bound to a site account. For each number of days, `due` counts who followed by it at least that
    many days ago, and `retained` those of them who still followed that many days later.
    """

    scene: str
    name: str
    scans: int
    people: int
    follows: int
    first_followers: int
    still_following: int
    bound: int
    retained: dict[int, int] = field(default_factory=dict)
    due: dict[int, int] = field(default_factory=dict)


def follower_counts(span: Span) -> Iterator[FollowerRow]:
    """New, cancelled and cumulative followers of each period."""
    kinds = (FOLLOW, UNFOLLOW, *FOUND_FOLLOWING, *FOUND_GONE)
    counts = people_and_events(span, kinds)

    def number(kind: str, place: int, which: int) -> int:
        return counts.get(kind, {}).get(place, (0, 0))[which]

    for place, (slot, cumulative) in enumerate(zip(span.slots, _cumulative(span), strict=True)):
        new, cancelled = number(FOLLOW, place, 1), number(UNFOLLOW, place, 1)
        yield FollowerRow(
            start=slot.start,
            new=new,
            cancelled=cancelled,
            net=new - cancelled,
            cumulative=cumulative,
            found_following=sum(number(kind, place, 0) for kind in FOUND_FOLLOWING),
            found_gone=sum(number(kind, place, 0) for kind in FOUND_GONE),
            complete=slot.is_complete,
        )


def _cumulative(span: Span) -> Iterator[int]:
    """How many people followed at the end of each period."""
    changes = FollowingChange.objects.filter(account=span.account)
    # All days before the span can be summed: its first hour begins with a day.
    days = changes.filter(period=Period.DAY.code, start__lt=span.start)
    following: int = days.aggregate(more=Sum("more"))["more"] or 0
    period = Period.HOUR if span.interval is Period.HOUR else Period.DAY
    within = iter(
        changes.filter(period=period.code, start__gte=span.start, start__lt=span.end)
        .order_by("start")
        .values_list("start", "more")
    )
    change = next(within, None)
    for slot in span.slots:
        while change is not None and change[0] < slot.end:
            following += change[1]
            change = next(within, None)
        yield following


def scene_counts(span: Span, *, retention_days: Sequence[int] = RETENTION_DAYS) -> list[SceneRow]:
    """The results of each code that was scanned in the span's days, the most scanned first."""
    begin = day_start(span.first, span.zone)
    end = day_start(span.last + _DAY, span.zone)
    results = results_of_scenes(span.account, begin, end, retention_days)
    names = dict(
        QRScene.objects.filter(account=span.account, scene__in=results).values_list("scene", "name")
    )
    rows = [
        SceneRow(
            scene=scene,
            name=names.get(scene, ""),
            scans=result.scans,
            people=result.people,
            follows=result.follows,
            first_followers=result.first_followers,
            still_following=result.still_following,
            bound=result.bound,
            retained=result.retained,
            due=result.due,
        )
        for scene, result in results.items()
    ]
    return sorted(rows, key=lambda row: (-row.scans, row.scene))

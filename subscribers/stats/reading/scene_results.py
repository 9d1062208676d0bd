"""Results of QR codes: what became of the people who came by them, from counted days and few acts.

Each day has the counts of its acts. A person counts once in a span, even if they came by the code
several times: the counts of their later acts are subtracted, and such acts have an index. Single
acts are read for the day on which it is not yet known who stays, and for numbers of days that are
not counted by day.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils import timezone

from events.models import OfficialAccount
from events.stats.periods import starts_of
from subscribers.models import SceneAct, SourceDay
from subscribers.stats.counting.source_days import RETENTION_DAYS

__all__ = ["Limit", "SceneResult", "limits_of", "results_of_scenes", "stayed_for"]


@dataclass(slots=True)
class SceneResult:
    """Numbers of the people who came by one code; see SceneRow."""

    scans: int = 0
    people: int = 0
    follows: int = 0
    first_followers: int = 0
    still_following: int = 0
    bound: int = 0
    retained: dict[int, int] = field(default_factory=dict)
    due: dict[int, int] = field(default_factory=dict)

    @classmethod
    def nothing(cls, days: Sequence[int]) -> SceneResult:
        return cls(retained=dict.fromkeys(days, 0), due=dict.fromkeys(days, 0))


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit for a number of days: a follow is at least that long ago if it is not after `at`.

    Days before `whole` are read as counts; from `whole` on, single acts are read.
    """

    days: int
    whole: datetime.datetime
    at: datetime.datetime

    @property
    def name(self) -> str:
        return f"stayed_{self.days}"

    @property
    def is_counted(self) -> bool:
        return self.days in RETENTION_DAYS


def limits_of(days: Sequence[int], begin: datetime.datetime, zone: Any) -> list[Limit]:
    """The limit of each number of days, for days that begin at `begin` or later."""
    found = []
    for number in days:
        at = timezone.now() - datetime.timedelta(days=number)
        whole = max(begin, starts_of(at, zone)[1]) if number in RETENTION_DAYS else begin
        found.append(Limit(number, whole, at))
    return found


def stayed_for(number: int) -> Q:
    """Rows of people who followed for more than this number of days."""
    return Q(stayed=None) | Q(stayed__gte=number)


def results_of_scenes(
    account: OfficialAccount,
    begin: datetime.datetime,
    end: datetime.datetime,
    days: Sequence[int],
    scenes: Sequence[str] | None = None,
) -> Mapping[str, SceneResult]:
    """The results of each scene for people who came by it from `begin` to before `end`.

    Both are starts of days of the account. Without `scenes`, the results of all codes.
    """
    found: defaultdict[str, SceneResult] = defaultdict(lambda: SceneResult.nothing(days))
    limits = limits_of(days, begin, account.zone)
    some = Q() if scenes is None else Q(scene__in=scenes)
    counted = SourceDay.objects.filter(
        some, ~Q(scene=""), account=account, start__gte=begin, start__lt=end
    )
    _count_days(counted, limits, found)
    acts = SceneAct.objects.filter(some, account=account)
    _count_acts(acts, end, limits, found)
    _take_away(acts, begin, end, limits, found)
    return {scene: result for scene, result in found.items() if result.scans}


def _count_days(rows: Any, limits: Sequence[Limit], found: Mapping[str, SceneResult]) -> None:
    sums: dict[str, Any] = {}
    counted = [limit for limit in limits if limit.is_counted]
    for limit in counted:
        due = Q(start__lt=limit.whole)
        sums[f"due_{limit.days}"] = Sum("follows", filter=due, default=0)
        sums[f"kept_{limit.days}"] = Sum(limit.name, filter=due, default=0)
    names = ("acts", "follows", "first_followers", "following", "bound")
    totals = {f"all_{name}": Sum(name) for name in names}
    for scene, acts, follows, first, following, bound, *kept in (
        rows.order_by().values_list("scene").annotate(**totals, **sums)
    ):
        result = found[scene]
        result.scans, result.people, result.follows = acts, acts, follows
        result.first_followers, result.still_following, result.bound = first, following, bound
        for place, limit in enumerate(counted):
            result.due[limit.days], result.retained[limit.days] = kept[2 * place : 2 * place + 2]


def _count_acts(
    rows: Any,
    end: datetime.datetime,
    limits: Sequence[Limit],
    found: Mapping[str, SceneResult],
) -> None:
    for limit in limits:
        # One statement for each limit: with several spans of time in one statement, SQLite reads
        # everything between them too.
        near = rows.filter(is_follow=True, at__gte=limit.whole, at__lt=end, at__lte=limit.at)
        counted = near.order_by().values_list("scene")
        for scene, due, kept in counted.annotate(
            due=Count("pk"), kept=Count("pk", filter=stayed_for(limit.days))
        ):
            found[scene].due[limit.days] += due
            found[scene].retained[limit.days] += kept


def _take_away(
    rows: Any,
    begin: datetime.datetime,
    end: datetime.datetime,
    limits: Sequence[Limit],
    found: Mapping[str, SceneResult],
) -> None:
    # The end must not be a condition of the rows, or the database does not use the index of
    # such acts.
    within = Q(at__lt=end)
    again = within & Q(is_follow=True, former_follow_at__gte=begin)
    sums: dict[str, Any] = {
        "people": Count("pk", filter=within),
        "first": Count("pk", filter=again & Q(is_first=True)),
        "following": Count("pk", filter=again & Q(is_following=True)),
        "bound": Count("pk", filter=again & Q(is_bound=True)),
    }
    for limit in limits:
        due = again & Q(at__lte=limit.at)
        sums[f"due_{limit.days}"] = Count("pk", filter=due)
        sums[f"kept_{limit.days}"] = Count("pk", filter=due & stayed_for(limit.days))
    counted = rows.filter(former_at__gte=begin).order_by().values_list("scene").annotate(**sums)
    for scene, people, first, following, bound, *kept in counted:
        result = found[scene]
        result.people -= people
        result.first_followers -= first
        result.still_following -= following
        result.bound -= bound
        for place, limit in enumerate(limits):
            result.due[limit.days] -= kept[2 * place]
            result.retained[limit.days] -= kept[2 * place + 1]

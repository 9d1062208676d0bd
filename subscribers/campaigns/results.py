"""Results of QR codes in a span of days: scans, people, new followers, who stayed, who is bound."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Sum

from events.stats.periods import day_start
from subscribers.models import QRScene, SourceDay
from subscribers.stats.reading.scene_results import SceneResult, results_of_scenes

__all__ = ["DAYS", "CodeResult", "by_day", "results", "total"]

# The numbers of days after which the results count who still follows.
DAYS = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class CodeResult:
    """The numbers of one code.

    For each number of days, `retained` counts those who still followed that many days after they
    came, and `due` those who came at least that many days ago.
    """

    name: str
    scans: int
    people: int
    new: int
    still: int
    bound: int
    retained: dict[int, int]
    due: dict[int, int]
    code: QRScene | None = None


def results(
    codes: Sequence[QRScene], first: datetime.date, last: datetime.date
) -> list[CodeResult]:
    """A result for each code; the days are those of its account's time zone."""
    found: list[CodeResult] = []
    for account in {code.account_id: code.account for code in codes}.values():
        begin, end = _moments(first, last, account.zone)
        own = [code for code in codes if code.account_id == account.pk]
        came = results_of_scenes(account, begin, end, DAYS, [code.scene for code in own])
        for code in own:
            of_code = came.get(code.scene) or SceneResult.nothing(DAYS)
            found.append(
                CodeResult(
                    code.name, of_code.scans, of_code.people, of_code.first_followers,
                    of_code.still_following, of_code.bound, of_code.retained, of_code.due, code,
                )
            )  # fmt: skip
    return sorted(found, key=lambda result: (-result.people, result.name))


def total(rows: Sequence[CodeResult], name: str) -> CodeResult:
    """All codes together; a person who came by two of them counts twice."""
    return CodeResult(
        name,
        scans=sum(row.scans for row in rows),
        people=sum(row.people for row in rows),
        new=sum(row.new for row in rows),
        still=sum(row.still for row in rows),
        bound=sum(row.bound for row in rows),
        retained={day: sum(row.retained.get(day, 0) for row in rows) for day in DAYS},
        due={day: sum(row.due.get(day, 0) for row in rows) for day in DAYS},
    )


def by_day(
    codes: Sequence[QRScene], first: datetime.date, last: datetime.date
) -> Iterator[tuple[datetime.date, int]]:
    """The number of scans and follows on each day, by codes of one account."""
    zone = codes[0].account.zone
    begin, end = _moments(first, last, zone)
    rows = SourceDay.objects.filter(
        account=codes[0].account_id,
        scene__in=[code.scene for code in codes],
        start__gte=begin,
        start__lt=end,
    )
    counted = {
        start.astimezone(zone).date(): number
        for start, number in rows.values_list("start").annotate(number=Sum("acts"))
    }
    for number in range((last - first).days + 1):
        day = first + datetime.timedelta(days=number)
        yield day, counted.get(day, 0)


def _moments(
    first: datetime.date, last: datetime.date, zone: zoneinfo.ZoneInfo
) -> tuple[datetime.datetime, datetime.datetime]:
    return day_start(first, zone), day_start(last + datetime.timedelta(days=1), zone)

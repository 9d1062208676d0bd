"""Finds the most active followers of a span of days, and reads the months of few people for that.

A person's events in the span are at most those of the months of the span. So the most active
people of each month are enough, if the last of them had fewer events than the last of the answer:
Fagin's threshold algorithm. If all followers are about equally active, it reads more people.
"""

from __future__ import annotations

import calendar
import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from events.db.cached_count import cached_count
from events.stats.reading.queries import Span
from subscribers.models import FollowerMonth, Subscriber
from subscribers.stats.counting.activity import days_of

__all__ = ["TopRow", "top_followers"]

# How many people of each month are read first, and how many times as many in each next round.
_FIRST, _TIMES = 100, 5
# How many people's days one statement reads.
_PEOPLE = 100
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TopRow:
    """One of the most active followers."""

    openid: str
    events: int


def top_followers(span: Span | None, account_id: int, *, limit: int = 20) -> list[TopRow]:
    """The most active followers of the span's days, or of all time if `span` is None.

    The cache keeps an answer for a while if it took many rows.
    """
    if span is None:
        ever = Subscriber.objects.filter(account=account_id).order_by("-event_count", "openid")
        return [TopRow(*row) for row in ever.values_list("openid", "event_count")[:limit]]
    name = f"top followers {account_id} {span.first} {span.last} {limit}"
    months = _days_by_month(span.first, span.last)
    rows, _read = cached_count(
        name, lambda: _top(account_id, months, limit), rows=lambda result: result[1]
    )
    return rows


def _days_by_month(first: datetime.date, last: datetime.date) -> dict[datetime.date, range | None]:
    """The months of a span; the value is None for a whole month, else its days in the span."""
    months: dict[datetime.date, range | None] = {}
    month = first.replace(day=1)
    while month <= last:
        length = calendar.monthrange(month.year, month.month)[1]
        begin = first.day if month == first.replace(day=1) else 1
        end = last.day if month == last.replace(day=1) else length
        months[month] = None if (begin, end) == (1, length) else range(begin, end + 1)
        month += length * _DAY
    return months


def _top(
    account_id: int, months: Mapping[datetime.date, range | None], limit: int
) -> tuple[list[TopRow], int]:
    """The most active followers, and how many rows were read."""
    number, read = _FIRST, 0
    while True:
        most, rest, rows = _most_by_person(account_id, months, number)
        read += rows
        exact: dict[str, int] = {}
        last = 0
        people = sorted(most, key=lambda openid: (-most[openid], openid))
        for place in range(0, len(people), _PEOPLE):
            some = people[place : place + _PEOPLE]
            if len(exact) >= limit and most[some[0]] < last:
                break
            counted = _exact(account_id, months, some)
            read += len(months) * len(some)
            exact |= counted
            if len(exact) >= limit:
                last = sorted(exact.values(), reverse=True)[limit - 1]
        if not rest or (len(exact) >= limit and last > rest):
            break
        number *= _TIMES
    best = sorted(exact.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return [TopRow(openid, events) for openid, events in best], read


def _most_by_person(
    account_id: int, months: Iterable[datetime.date], number: int
) -> tuple[dict[str, int], int, int]:
    """Reads the first `number` people of each month, and bounds the events of everybody.

    Returns the most events that each of these people can have had, the most that anybody else can
    have had, and how many rows were read.
    """
    by_month: list[tuple[dict[str, int], int]] = []
    for first in _first_of_each(account_id, list(months), number):
        # Everybody else had at most as many events in this month as the last person.
        by_month.append((first, min(first.values()) if len(first) == number else 0))
    rest = sum(least for _, least in by_month)
    most: defaultdict[str, int] = defaultdict(lambda: rest)
    for first, least in by_month:
        for openid, events in first.items():
            most[openid] += events - least
    return dict(most), rest, sum(len(first) for first, _ in by_month)


def _first_of_each(
    account_id: int, months: Sequence[datetime.date], number: int
) -> list[dict[str, int]]:
    """The most active people of each month, read by one statement."""
    table = connection.ops.quote_name(FollowerMonth._meta.db_table)
    one = f"""
        SELECT * FROM (
            SELECT %s AS place, openid, events FROM {table}
            WHERE account_id = %s AND month = %s AND events > 0
            ORDER BY events DESC, openid LIMIT %s
        ) AS of_month
    """
    parameters: list[Any] = []
    for place, month in enumerate(months):
        parameters += [place, account_id, connection.ops.adapt_datefield_value(month), number]
    found: list[dict[str, int]] = [{} for _ in months]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([one] * len(months)), parameters)
        for place, openid, events in cursor.fetchall():
            found[place][openid] = events
    return found


def _exact(
    account_id: int, months: Mapping[datetime.date, range | None], people: Sequence[str]
) -> dict[str, int]:
    """How many events these people had in the days; people without events are left out."""
    found: defaultdict[str, int] = defaultdict(int)
    rows = FollowerMonth.objects.filter(
        openid__in=people, account=account_id, month__in=list(months)
    )
    for openid, month, events, written in rows.values_list("openid", "month", "events", "days"):
        days = months[month]
        if days is None:
            found[openid] += events
        else:
            found[openid] += sum(number for day, number in days_of(written).items() if day in days)
    return {openid: events for openid, events in found.items() if events}

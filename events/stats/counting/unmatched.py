"""Keeps by day the texts that no rule matched: how often each came, from how many people.

It counts them from the rows of unanswered events. When such rows change, it counts the rows of the
people concerned before and after the change, and adds the difference.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import zoneinfo
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from django.db import connection
from django.db.models import Q

from events.db.upsert import Upsert
from events.models import AccountStatistics, UnansweredEvent, UnmatchedDay
from events.stats.changes import on_zone_change
from events.stats.periods import Period, next_start, starts_of

__all__ = [
    "add_texts",
    "count_in_zone",
    "forget_texts",
    "recount_days_of",
    "recount_texts",
    "recounted_texts",
]

_DAY = datetime.timedelta(days=1)

# Account id and OpenID.
_Person: TypeAlias = "tuple[int, str]"
# Account id, start of the day, text.
_Cell: TypeAlias = "tuple[int, datetime.datetime, str]"
# Account id, OpenID, time and text.
_Text: TypeAlias = "tuple[int, str, datetime.datetime, str]"
# How often each person wrote each text on each day.
_Texts: TypeAlias = "Counter[tuple[_Person, _Cell]]"
# The numbers of messages and of people.
_Cells: TypeAlias = "defaultdict[_Cell, list[int]]"


@contextlib.contextmanager
def recounted_texts(
    people: Iterable[_Person], moments: Collection[datetime.datetime] = ()
) -> Iterator[None]:
    """Counts the changes that the block makes in the unanswered texts of these people.

    If `moments` is given, the block must change only events of these times.
    """
    wanted = set(people)
    if not wanted:
        yield
        return
    zones = _zones()
    rows = _rows_of(wanted, moments)
    before, _ = _tally((row for row in _texts(rows) if row[:2] in wanted), zones)
    yield
    after, last = _tally((row for row in _texts(rows) if row[:2] in wanted), zones)
    _count_difference(before, after, last, zones)


def add_texts(texts: Collection[_Text]) -> None:
    """Counts unanswered texts just before their rows are stored."""
    if not texts:
        return
    zones = _zones()
    wanted = {(account_id, openid) for account_id, openid, _, _ in texts}
    rows = _rows_of(wanted, [at for _, _, at, _ in texts])
    before, _ = _tally((row for row in _texts(rows) if row[:2] in wanted), zones)
    more, last = _tally(texts, zones)
    _count_difference(before, before + more, last, zones)


def _rows_of(people: Collection[_Person], moments: Collection[datetime.datetime]) -> Any:
    """Selects the unanswered events of these people, on the days of these moments if any are given.

    The selection may contain other rows too.
    """
    # No filter by account: with one, SQLite would read all of its unanswered events.
    rows = UnansweredEvent.objects.filter(openid__in={openid for _, openid in people})
    if not moments:
        return rows
    # Days last up to 25 hours.
    return rows.filter(
        event_time__gt=min(moments) - 2 * _DAY, event_time__lt=max(moments) + 2 * _DAY
    )


def _count_difference(
    before: _Texts,
    after: _Texts,
    last: Mapping[_Cell, datetime.datetime],
    zones: Mapping[int, zoneinfo.ZoneInfo],
) -> None:
    """Adds the increases to the days' counts, and recounts a cell if a number decreased."""
    cells: _Cells = defaultdict(lambda: [0, 0])
    fewer: set[_Cell] = set()
    for person, cell in before.keys() | after.keys():
        was, now = before[person, cell], after[person, cell]
        if was != now:
            cells[cell][0] += now - was
            cells[cell][1] += bool(now) - bool(was)
            if now < was:
                fewer.add(cell)
    sums = [(*cell, *more, last[cell]) for cell, more in sorted(cells.items()) if cell not in fewer]
    if sums:
        _count_upsert().execute(connection, sums)
    for account_id, start, text in fewer:
        recount_texts(account_id, start, next_start(start, Period.DAY, zones[account_id]), text)


def _texts(rows: Any) -> Iterator[_Text]:
    columns = rows.exclude(text="").values_list("account_id", "openid", "event_time", "text")
    found: Iterator[_Text] = columns.iterator(chunk_size=2000)
    return found


def _tally(
    texts: Iterable[_Text], zones: Mapping[int, zoneinfo.ZoneInfo]
) -> tuple[_Texts, dict[_Cell, datetime.datetime]]:
    """Counts how often each person wrote each text on each day, and when the text came last."""
    found: _Texts = Counter()
    last: dict[_Cell, datetime.datetime] = {}
    for account_id, openid, at, text in texts:
        cell = (account_id, starts_of(at, zones[account_id])[1], text)
        found[(account_id, openid), cell] += 1
        last[cell] = max(at, last.get(cell, at))
    return found, last


@functools.cache
def _count_upsert() -> Upsert:
    return Upsert(
        UnmatchedDay,
        key=("account_id", "start", "text"),
        values=("messages", "people", "last_at"),
        update={
            "messages": "old.messages + excluded.messages",
            "people": "old.people + excluded.people",
            "last_at": "{greatest}(old.last_at, excluded.last_at)",
        },
    )


def recount_texts(
    account_id: int, begin: datetime.datetime, end: datetime.datetime, text: str | None = None
) -> None:
    """Recounts an account's texts from `begin` to before `end`; with `text`, only that one."""
    which = Q(account=account_id) if text is None else Q(account=account_id, text=text)
    UnmatchedDay.objects.filter(which, start__gte=begin, start__lt=end).delete()
    rows = UnansweredEvent.objects.filter(which, event_time__gte=begin, event_time__lt=end)
    _count(account_id, rows)


def recount_days_of(events: Iterable[tuple[int, datetime.datetime]]) -> None:
    """Recounts the days of these events, given by account id and time."""
    zones = _zones()
    days = {(pk, starts_of(at, zones[pk])[1]) for pk, at in events}
    for account_id, start in sorted(days):
        recount_texts(account_id, start, next_start(start, Period.DAY, zones[account_id]))


def forget_texts(before: datetime.datetime) -> None:
    """Removes the words of texts before a time, and their counts."""
    rows = UnansweredEvent.objects.exclude(text="").filter(event_time__lt=before)
    account_ids = set(rows.values_list("account", flat=True).distinct())
    rows.update(text="")
    UnmatchedDay.objects.filter(start__lt=before - 2 * _DAY).delete()
    # A day lasts up to 25 hours, so `before` is in one of these days.
    recount_days_of((pk, before - number * _DAY) for pk in account_ids for number in (0, 1, 2))


@on_zone_change
def count_in_zone(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    """Recounts an account's texts by the days of another time zone."""
    UnmatchedDay.objects.filter(account=account_id).delete()
    _count(account_id, UnansweredEvent.objects.filter(account=account_id), zone)


def _count(account_id: int, rows: Any, zone: zoneinfo.ZoneInfo | None = None) -> None:
    found, last = _tally(_texts(rows), {account_id: zone or _zones()[account_id]})
    cells: _Cells = defaultdict(lambda: [0, 0])
    for (_person, cell), number in found.items():
        cells[cell][0] += number
        cells[cell][1] += 1
    if cells:
        _count_upsert().execute(
            connection, [(*cell, *more, last[cell]) for cell, more in sorted(cells.items())]
        )


def _zones() -> dict[int, zoneinfo.ZoneInfo]:
    return {state.account_id: state.zone for state in AccountStatistics.objects.all()}

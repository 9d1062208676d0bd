"""Finds texts by their words, month after month, newest first.

The database sorts the hits of one month, not of the whole span, so a frequent word costs only one
month. A word of one letter has no pair of letters. So the search reads up to WALKED of the newest
texts for it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from events.models import MessageText, with_account
from events.months import Month
from events.search.grams import folded, grams, words_of
from events.search.index import GRAMS_TABLE, token

__all__ = ["WALKED", "Span", "find"]

WALKED = 20_000
_TABLE = MessageText._meta.db_table
_SMALLEST, _LARGEST = 100, 2000
_Place = tuple[datetime.datetime, int]


@dataclass(frozen=True, slots=True)
class Span:
    """The texts to search: those of these accounts, from `start` to before `end`."""

    account_ids: Sequence[int]
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None


def find(query: str, span: Span, *, limit: int, before: _Place | None = None) -> list[MessageText]:
    """Returns the newest texts with every word of the query, older than the position `before`."""
    words = words_of(query)
    if not words or not span.account_ids:
        return []
    found: list[int] = []
    for pk, content in _candidates(words, span, before, size=max(_SMALLEST, 2 * limit)):
        text = folded(content)
        if all(word in text for word in words):
            found.append(pk)
            if len(found) == limit:
                break
    rows = with_account(MessageText.objects.all()).in_bulk(found)
    return [rows[pk] for pk in found if pk in rows]


def _candidates(
    words: Sequence[str], span: Span, before: _Place | None, *, size: int
) -> Iterator[tuple[int, str]]:
    """Yields ids and contents that may match, newest first."""
    has_pairs = any(len(word) > 1 for word in words)
    read = 0
    for month in _months(span, before):
        start = max(month.start, span.start or month.start)
        end = min(month.end, span.end or month.end)
        place, portion = before, size
        while True:
            condition = _pairs(words, span.account_ids, month) if has_pairs else None
            rows = _read(span.account_ids, start, end, place, condition, portion)
            yield from ((pk, content) for pk, _at, content in rows)
            read += len(rows)
            if not has_pairs and read >= WALKED:
                return
            if len(rows) < portion:
                break
            pk, at, _content = rows[-1]
            place, portion = (at, pk), min(2 * portion, _LARGEST)


def _months(span: Span, before: _Place | None) -> Iterator[Month]:
    """Yields the months of the span in which these accounts may have texts, newest first."""
    ends = []
    for pk in span.account_ids:
        times = MessageText.objects.filter(account=pk).values_list("event_time", flat=True)
        # Two queries, because SQLite reads all rows for one query with MIN and MAX.
        ends += [*times.order_by("event_time")[:1], *times.order_by("-event_time")[:1]]
    if not ends:
        return
    first, last = min(ends), max(ends)
    if span.start is not None:
        first = max(first, span.start)
    if span.end is not None:
        last = min(last, span.end)
    if before is not None:
        last = min(last, before[0])
    month = Month.of(last)
    while month.end > first:
        yield month
        month = Month.of(month.start - datetime.timedelta(microseconds=1))


def _pairs(words: Sequence[str], account_ids: Sequence[int], month: Month) -> str:
    """Returns the condition for the index: a text of one account has all pairs of the words.

    The numbers stand in the statement itself, so that the planner sees how frequent they are.
    """
    of_accounts = []
    for pk in account_ids:
        pairs = sorted({gram for word in words for gram in grams(word, pk, month)})
        if connection.vendor == "postgresql":
            of_accounts.append(f"grams @> '{{{','.join(map(str, pairs))}}}'::int4[]")
        else:
            of_accounts.append(f"({' AND '.join(map(token, pairs))})")
    return " OR ".join(of_accounts)


def _read(
    account_ids: Sequence[int],
    start: datetime.datetime,
    end: datetime.datetime,
    place: _Place | None,
    condition: str | None,
    limit: int,
) -> list[tuple[int, datetime.datetime, str]]:
    """Reads up to `limit` texts of one month, newest first; a `condition` uses the index."""
    adapt = connection.ops.adapt_datetimefield_value
    numbers = ", ".join(str(int(pk)) for pk in account_ids)
    where = f"account_id IN ({numbers}) AND event_time >= %s AND event_time < %s"
    values: list[Any] = [adapt(start), adapt(end)]
    if place is not None:
        where += " AND event_time <= %s AND (event_time < %s OR id < %s)"
        values += [adapt(place[0]), adapt(place[0]), place[1]]
    source = _TABLE
    if condition is not None and connection.vendor == "postgresql":
        # OFFSET 0 keeps the subquery separate, so that the planner does not use the index on time.
        source = (
            "(SELECT id, account_id, event_time, content "
            f"FROM {_TABLE} WHERE {condition} OFFSET 0) AS hits"
        )
    elif condition is not None:
        source = f"{GRAMS_TABLE} CROSS JOIN {_TABLE} ON id = {GRAMS_TABLE}.rowid"
        where = f"{GRAMS_TABLE} MATCH %s AND {where}"
        values = [condition, *values]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, event_time, content FROM {source} WHERE {where} "
            "ORDER BY event_time DESC, id DESC LIMIT %s",
            [*values, limit],
        )
        rows = cursor.fetchall()
    return [(pk, _moment(at), content) for pk, at, content in rows]


def _moment(at: datetime.datetime | str) -> datetime.datetime:
    """Reads a time from the database; SQLite returns a text in UTC."""
    if isinstance(at, str):
        at = datetime.datetime.fromisoformat(at)
    return at if at.tzinfo else at.replace(tzinfo=datetime.UTC)

"""Reads a list page by page with a cursor, for the API and the admin.

A list is in the order of its ids, newest first. A list that is filtered by a time is in the order
of this time, because the index on the time has no other order; rows of the same time are in the
order of their ids. A cursor finds a page in either order, without counting rows.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

__all__ = ["Leading", "RowCursor", "cursor_of", "page", "portions"]

_Rows = TypeVar("_Rows", bound="QuerySet[Any]")

# Rows that portions() reads at a time.
_PORTION = 1000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_WRITTEN = re.compile(r"(?:(-?[0-9]{1,18})_)?([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class RowCursor:
    """A row's position in a list: its id and, if a time orders the list, the row's time."""

    pk: int
    at: datetime.datetime | None = None

    @classmethod
    def of(cls, row: Model, column: str | None) -> RowCursor:
        return cls(row.pk, getattr(row, column) if column else None)

    @classmethod
    def parse(cls, written: str | None, column: str | None) -> RowCursor | None:
        """Reads a cursor that str() wrote; None for another text or a cursor of another order."""
        match = _WRITTEN.fullmatch(written or "")
        if match is None or (match[1] is None) != (column is None):
            return None
        try:
            at = None if match[1] is None else _EPOCH + int(match[1]) * _MICROSECOND
        except OverflowError:
            return None
        return cls(int(match[2]), at)

    def __str__(self) -> str:
        if self.at is None:
            return str(self.pk)
        return f"{(self.at - _EPOCH) // _MICROSECOND}_{self.pk}"


def cursor_of(columns: Sequence[str]) -> Callable[[Sequence[Any], str | None], RowCursor]:
    """Returns a RowCursor.of() for rows that are tuples of these columns, `pk` first."""
    places = {name: place for place, name in enumerate(columns)}
    return lambda row, column: RowCursor(row[0], row[places[column]] if column else None)


@dataclass(frozen=True, slots=True)
class Leading:
    """A column with the time in coarse steps; an index begins with it instead of with the time."""

    column: str
    step_of: Callable[[datetime.datetime], datetime.datetime]


def page(
    rows: _Rows,
    size: int,
    *,
    column: str | None,
    cursor: RowCursor | None,
    upwards: bool = False,
    leading: Leading | None = None,
) -> tuple[list[Any], bool]:
    """Returns up to `size` rows after the cursor, newest first, and whether more follow.

    `column` is the time that orders the list; None means the ids. `upwards` reads the rows that are
    newer than the cursor. With `leading` the database sorts the rows of one step at a time, not all
    rows together.
    """
    sign, beyond, within = ("", "gt", "gte") if upwards else ("-", "lt", "lte")
    if cursor is not None and column is None:
        rows = rows.filter(**{f"pk__{beyond}": cursor.pk})
    elif cursor is not None:
        # Two conditions instead of an OR, because the index can serve the first.
        passed: dict[str, Any] = {
            str(column): cursor.at,
            f"pk__{'lte' if upwards else 'gte'}": cursor.pk,
        }
        rows = rows.filter(**{f"{column}__{within}": cursor.at}).exclude(**passed)
        if leading is not None and cursor.at is not None:
            rows = rows.filter(**{f"{leading.column}__{within}": leading.step_of(cursor.at)})
    columns = (leading.column if leading else None, column, "pk")
    order = [f"{sign}{name}" for name in columns if name]
    found = list(rows.order_by(*order)[: size + 1])
    shown = found[:size]
    return (shown[::-1] if upwards else shown), len(found) > size


def portions(
    rows: QuerySet[Any],
    column: str | None,
    *,
    leading: Leading | None = None,
    cursor_of: Callable[[Any, str | None], RowCursor] = RowCursor.of,
) -> Iterator[list[Any]]:
    """Yields the rows in portions, ordered by the column and the ids; `leading` as for page().

    If the rows are not model instances, pass `cursor_of`, which takes a row and the column.
    """
    cursor: RowCursor | None = None
    more = True
    # Read the first portion here: without a cursor page() with `upwards` returns it newest first.
    names = [name for name in (leading.column if leading else None, column, "pk") if name]
    first = list(rows.order_by(*names)[:_PORTION])
    if first:
        yield first
        cursor = cursor_of(first[-1], column)
        more = len(first) == _PORTION
    while more and cursor is not None:
        found, more = page(
            rows, _PORTION, column=column, cursor=cursor, upwards=True, leading=leading
        )
        if found:
            # page() returns the newest row first.
            cursor = cursor_of(found[0], column)
            yield found[::-1]

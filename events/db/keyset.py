"""Where one page of a list ends and the next begins, for the API's lists and for the admin's.

A list is in the order of its ids, newest first. One that is narrowed to a stretch of time is in the
order of that time instead, since the index that finds the stretch has no other; rows of one moment
are in the order of their ids. Either way a page is found by its place, never by counting.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

__all__ = ["Place", "page"]

_Rows = TypeVar("_Rows", bound="QuerySet[Any]")

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_WRITTEN = re.compile(r"(?:(-?[0-9]{1,18})_)?([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in a list: its id and, in a list in the order of a time, that time."""

    pk: int
    at: datetime.datetime | None = None

    @classmethod
    def of(cls, row: Model, column: str | None) -> Place:
        return cls(row.pk, getattr(row, column) if column else None)

    @classmethod
    def parse(cls, written: str | None, column: str | None) -> Place | None:
        """Reads what str() wrote; None for anything else, and for a place in another order."""
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


def page(
    rows: _Rows, size: int, *, column: str | None, place: Place | None, upwards: bool = False
) -> tuple[list[Any], bool]:
    """Up to `size` rows beyond a place, newest first, and whether there are more beyond these.

    `column` is the time the list is in the order of, None for the ids. `upwards` goes from the
    place to what is newer.
    """
    sign, beyond, within = ("", "gt", "gte") if upwards else ("-", "lt", "lte")
    if place is not None and column is None:
        rows = rows.filter(**{f"pk__{beyond}": place.pk})
    elif place is not None:
        # Two conditions rather than an OR, as only the first leads through the index.
        passed: dict[str, Any] = {
            str(column): place.at,
            f"pk__{'lte' if upwards else 'gte'}": place.pk,
        }
        rows = rows.filter(**{f"{column}__{within}": place.at}).exclude(**passed)
    order = [f"{sign}{name}" for name in (column, "pk") if name]
    found = list(rows.order_by(*order)[: size + 1])
    shown = found[:size]
    return (shown[::-1] if upwards else shown), len(found) > size

"""WeChat's own daily numbers (数据统计 › 用户分析); days are Beijing's.

A day's numbers appear at about eight in the morning of the next day. Before that WeChat leaves the
day out instead of giving zeros, so a missing day is not a day without followers.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .transport.answer_fields import mappings, number, text
from .transport.api_errors import BadAnswer, Refused
from .transport.calls import Calls

__all__ = ["LONGEST_SPAN", "Datacube", "UserCumulate", "UserSummary"]

# Days in one call.
LONGEST_SPAN = 7

_NOT_READY = 61503


@dataclass(frozen=True, slots=True)
class UserSummary:
    """Follows and unfollows of a day from one source (user_source, an open list)."""

    date: datetime.date
    source: int
    new: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class UserCumulate:
    """The number of followers at the end of a day."""

    date: datetime.date
    total: int


class Datacube:
    """Fetches numbers of days up to yesterday: one to seven in one call, else ValueError.

    Both ends are included.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def user_summary(self, begin: datetime.date, end: datetime.date) -> tuple[UserSummary, ...]:
        """Returns several rows for each day, one for each source with any activity."""
        return tuple(
            UserSummary(
                _date(row),
                number(row, "user_source"),
                number(row, "new_user"),
                number(row, "cancel_user"),
            )
            for row in self._rows("/datacube/getusersummary", begin, end)
        )

    def user_cumulate(self, begin: datetime.date, end: datetime.date) -> tuple[UserCumulate, ...]:
        """Returns one row for each day."""
        return tuple(
            UserCumulate(_date(row), number(row, "cumulate_user"))
            for row in self._rows("/datacube/getusercumulate", begin, end)
        )

    def _rows(self, path: str, begin: datetime.date, end: datetime.date) -> list[Mapping[str, Any]]:
        if not 0 <= (end - begin).days < LONGEST_SPAN:
            raise ValueError(f"1 to {LONGEST_SPAN} days in one call")
        body = {"begin_date": begin.isoformat(), "end_date": end.isoformat()}
        try:
            return mappings(self._calls.post(path, body), "list")
        except Refused as error:
            if error.errcode == _NOT_READY:
                return []
            raise


def _date(row: Mapping[str, Any]) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text(row, "ref_date"))
    except ValueError:
        raise BadAnswer("/datacube", "ref_date is not a date") from None

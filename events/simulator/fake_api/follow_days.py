"""Counts follows and unfollows by day, for WeChat's statistics (数据统计)."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass, field

from events.simulator.pushes import Push
from events.wechat.beijing_time import beijing_day

__all__ = ["FollowDays"]


@dataclass(slots=True)
class _Day:
    new: Counter[int] = field(default_factory=Counter)
    cancelled: Counter[int] = field(default_factory=Counter)


class FollowDays:
    """The days of one account, by their date in Beijing."""

    def __init__(self) -> None:
        self._days: dict[datetime.date, _Day] = {}

    def note(self, push: Push, follow_key: str) -> None:
        """Counts a follow, or an unfollow of a person who had followed with `follow_key`."""
        if push.kind == "event.subscribe":
            self._day(push).new[_source(push.event_key)] += 1
        elif push.kind == "event.unsubscribe":
            self._day(push).cancelled[_source(follow_key)] += 1

    def summary(self, day: datetime.date) -> list[tuple[int, int, int]]:
        """Returns source, follows and unfollows of a day, for the sources that had any."""
        counted = self._days.get(day, _Day())
        return [
            (source, counted.new[source], counted.cancelled[source])
            for source in sorted({*counted.new, *counted.cancelled})
        ]

    def gained_since(self, day: datetime.date) -> int:
        """Returns how many more people follow now than at the end of a day."""
        since = [counted for date, counted in self._days.items() if date > day]
        return sum(counted.new.total() - counted.cancelled.total() for counted in since)

    def _day(self, push: Push) -> _Day:
        return self._days.setdefault(beijing_day(push.create_time), _Day())


def _source(follow_key: str) -> int:
    """Returns the user_source of a follow with this EventKey."""
    if follow_key.startswith("qrscene_"):
        return 30
    return 0 if follow_key else 1

"""The rows that the queries of events return: one for each period, entry or hour."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

__all__ = ["EventRow", "HealthRow", "HourRow", "MenuRow", "MessageRow", "Totals"]


@dataclass(slots=True)
class EventRow:
    """Events of one kind, or one kind and key, in one period."""

    start: datetime.datetime
    kind: str
    key: str
    events: int
    people: int
    complete: bool


@dataclass(slots=True)
class MenuRow:
    """Taps on one menu entry. `name` is its path in the menu, "" if no menu has the key."""

    start: datetime.datetime
    kind: str
    key: str
    name: str
    clicks: int
    clickers: int
    unanswered: int
    complete: bool


@dataclass(frozen=True, slots=True)
class MessageRow:
    """Messages of one direction, in or out. `mean_wait_ms` is the mean time to the answers."""

    start: datetime.datetime
    direction: str
    messages: int
    people: int
    answered: int
    unanswered: int
    mean_wait_ms: int | None
    complete: bool


@dataclass(frozen=True, slots=True)
class HourRow:
    """Events of one hour of the week: `weekday` from 1, Monday, to 7, `hour` from 0 to 23."""

    weekday: int
    hour: int
    events: int


@dataclass(frozen=True, slots=True)
class HealthRow:
    """What became of the pushes that were received in one period."""

    start: datetime.datetime
    received: int
    answered: int
    within_1s: int
    within_5s: int
    unanswered: int
    repeated: int
    failed: int
    mended: int
    unreadable: int
    quarantined: int
    complete: bool


@dataclass(slots=True)
class Totals:
    """Events with their people and answers."""

    events: int = 0
    people: int = 0
    answered: int = 0
    unanswered: int = 0
    waited_ms: int = 0

    def add(self, events: int, people: int, answered: int, unanswered: int, waited_ms: int) -> None:
        self.events += events
        self.people += people
        self.answered += answered
        self.unanswered += unanswered
        self.waited_ms += waited_ms

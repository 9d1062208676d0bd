"""Hands batches of changes of the log to the counters, in one transaction each.

A counter is a function that updates one sort of roll-ups. It gets new rows, and rows whose outcome
changed, each with the way in which it was counted before. So each counter adds only the difference,
and never counts a row twice.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from events.stats.facts import Counted, Fact

__all__ = ["Batch", "Change", "change_zone", "count_changes", "counter", "on_zone_change"]


class Change(NamedTuple):
    """A row as it counts now, and as it was counted before."""

    fact: Fact
    before: Counted

    @property
    def is_new_event(self) -> bool:
        """Whether the row is an event now, but was not counted as one before."""
        return self.fact.counted.is_event and not self.before.is_event


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that are counted together.

    All rows up to the id `counted_to` were counted before them. `zones` maps accounts to their time
    zones. `seen_since` has the time from which `LastSeen` is complete, for accounts whose older
    rows of it were removed. `frozen_before` has the time before which retention removed rows, for
    accounts that lost some.
    """

    changes: Sequence[Change]
    counted_to: int
    zones: Mapping[int, zoneinfo.ZoneInfo]
    seen_since: Mapping[int, datetime.datetime]
    frozen_before: Mapping[int, datetime.datetime]


Counter: TypeAlias = "Callable[[Batch], None]"
ZoneChange: TypeAlias = "Callable[[int, zoneinfo.ZoneInfo], None]"

_counters: list[Counter] = []
_zone_changes: list[ZoneChange] = []


def counter(function: Counter) -> Counter:
    """Registers a counter. It uses only the database, within the batch's transaction."""
    _counters.append(function)
    return function


def count_changes(batch: Batch) -> None:
    """Runs all counters on a batch."""
    if batch.changes:
        for count in _counters:
            count(batch)


def on_zone_change(function: ZoneChange) -> ZoneChange:
    """Registers a function that recounts an account's days in another time zone.

    It gets the account's id and the new zone, and runs in the transaction that changes the zone.
    """
    _zone_changes.append(function)
    return function


def change_zone(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    """Runs the functions of `on_zone_change`."""
    for recount in _zone_changes:
        recount(account_id, zone)

"""What the roll-ups count: changes of the log, in batches, in one transaction each.

A counter is a function that brings roll-ups of one sort up to date. It is given rows that are new,
and rows whose outcome changed, each with how it was counted before; so each counter adds what is
different, and counting a row twice is impossible.
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
    """A row as it counts now, and how it was counted before."""

    fact: Fact
    before: Counted

    @property
    def is_new_event(self) -> bool:
        """Whether it is an event now that was not counted as one."""
        return self.fact.counted.is_event and not self.before.is_event


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that are counted together.

    Before them, every row up to the id `counted_to` was counted. `zones` has the time zone of each
    account, `seen_since` the moment from which on `LastSeen` is complete, where it was cleared,
    `frozen_before` the moment up to which retention removed rows, where it did.
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
    """Registers a counter. It touches the database only, within the batch's transaction."""
    _counters.append(function)
    return function


def count_changes(batch: Batch) -> None:
    if batch.changes:
        for count in _counters:
            count(batch)


def on_zone_change(function: ZoneChange) -> ZoneChange:
    """Registers a function that counts an account's days anew, in another time zone.

    It is given the account's id, and runs in the transaction that changes the zone.
    """
    _zone_changes.append(function)
    return function


def change_zone(account_id: int, zone: zoneinfo.ZoneInfo) -> None:
    for recount in _zone_changes:
        recount(account_id, zone)

"""Reads what changed since a reader's last visit, so that no change is missed.

Each type of row is a stream with its own position. A reader first gets all rows by id, then those
that changed since. A position never passes a change that another transaction has yet to commit
(events/log/settled.py).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from events.db.keyset import Leading, RowCursor, page
from events.log.row_changes import EVENT, KEPT_FOR
from events.log.settled import (
    Unsettled,
    settled_before,
    settled_sequence,
    settled_upper_bound,
)
from events.models import RowChange
from subscribers.models import Subscriber
from subscribers.models.hour import hour_of

__all__ = ["TYPES", "Change", "Expired", "Position", "Reader", "read_changes"]

# The types by their names in the API; a cursor has its positions in this order.
TYPES = ("event", "subscriber", "binding", "message", "scene")

_LARGEST = 2**63 - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)

_State = list[int]


class Expired(Exception):
    """The cursor is older than the notes of changes that this site keeps."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is new or changed; if `row` is None, it was deleted."""

    type: str
    pk: int
    row: Any | None


@dataclass(frozen=True, slots=True)
class Reader:
    """What a reader may see: `rows` gives the rows of a type; `accounts` None means all."""

    rows: Callable[[str], QuerySet[Any]]
    accounts: Collection[int] | None


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader has read each stream, and when."""

    states: Mapping[str, _State]
    at: datetime.datetime

    def __str__(self) -> str:
        written = json.dumps([int(self.at.timestamp()), self.states], separators=(",", ":"))
        return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """The position in a text that str() made; None for any other text."""
        try:
            raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            at, states = json.loads(raw)
            moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
        except (ValueError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
            return None
        return cls(states, moment) if _is_position(states) else None


def _is_position(states: Any) -> bool:
    return (
        isinstance(states, dict)
        and states.keys() <= set(TYPES)
        and all(
            isinstance(state, list)
            and len(state) == 2
            and all(type(number) is int and -1 <= number <= _LARGEST for number in state)
            for state in states.values()
        )
    )


def read_changes(
    position: Position | None,
    types: Sequence[str],
    reader: Reader,
    *,
    size: int,
    now: datetime.datetime,
) -> tuple[list[Change], Position, list[str]]:
    """Reads up to `size` changes of these types after the position.

    Returns the changes, the next position, and the types that an open transaction holds up.
    A type that the position does not name is read from its beginning. Raises `Expired`.
    """
    states = dict(position.states) if position else {}
    if position and EVENT in states and now - position.at > KEPT_FOR:
        raise Expired
    # Every stream gets a share of the page, so that a busy one does not hold up the others.
    share = max(1, size // (len(types) + (EVENT in types)))
    changes: list[Change] = []
    held_up = []
    for type_ in types:
        try:
            found, states[type_] = _READERS[type_](type_, states.get(type_), reader, share)
        except Unsettled:
            held_up.append(type_)
            continue
        changes += found
    kept = {type_: states[type_] for type_ in types if type_ in states}
    return changes, Position(kept, now), held_up


def _read_events(
    type_: str, state: _State | None, reader: Reader, size: int
) -> tuple[list[Change], _State]:
    """Reads changed events, then new ones by id. The state: seq of the last change, last id."""
    seq, last_id = state or (settled_sequence(type_), 0)
    # A change to an event beyond last_id is left out: that event itself is read later.
    changed, seq = _changed(type_, seq, reader, size, up_to=last_id)
    bound = settled_upper_bound()
    new = list(reader.rows(type_).filter(pk__gt=last_id, pk__lte=bound).order_by("pk")[:size])
    reached = new[-1].pk if len(new) == size else max(bound, last_id)
    return changed + [Change(type_, row.pk, row) for row in new], [seq, reached]


def _read_noted(
    type_: str, state: _State | None, reader: Reader, size: int
) -> tuple[list[Change], _State]:
    """Reads all rows by id, then those that changed.

    The state: seq of the last change, and the last id, or -1 once all rows are read.
    """
    seq, last_id = state or (settled_sequence(type_), 0)
    if last_id >= 0:
        found = list(reader.rows(type_).filter(pk__gt=last_id).order_by("pk")[:size])
        reached = found[-1].pk if len(found) == size else -1
        return [Change(type_, row.pk, row) for row in found], [seq, reached]
    changed, seq = _changed(type_, seq, reader, size)
    return changed, [seq, -1]


def _changed(
    type_: str, seq: int, reader: Reader, size: int, up_to: int | None = None
) -> tuple[list[Change], int]:
    settled = settled_sequence(type_)
    notes = RowChange.objects.filter(type=type_, seq__gt=seq, seq__lte=settled).order_by("seq")
    noted = list(notes[:size])
    ids = [note.object_id for note in noted if up_to is None or note.object_id <= up_to]
    shown = {row.pk: row for row in reader.rows(type_).filter(pk__in=ids)}
    deleted = _deleted(type_, [note for note in noted if note.object_id not in shown], reader)
    changes = [Change(type_, pk, shown.get(pk)) for pk in ids if pk in shown or pk in deleted]
    return changes, noted[-1].seq if len(noted) == size else max(seq, settled)


def _deleted(type_: str, missing: Sequence[RowChange], reader: Reader) -> set[int]:
    """The ids of deleted rows that this reader was able to see."""
    # Events leave the log only by retention, which is not reported.
    if type_ == EVENT:
        return set()
    ids = {
        note.object_id
        for note in missing
        if reader.accounts is None or note.account_id in reader.accounts
    }
    # A row that the reader may not see is not deleted.
    there = reader.rows(type_).model._default_manager.filter(pk__in=ids)
    return ids - set(there.values_list("pk", flat=True))


def _read_subscribers(
    type_: str, state: _State | None, reader: Reader, size: int
) -> tuple[list[Change], _State]:
    """Reads followers in the order of their last change.

    The state: the last change in microseconds since 1970, and the follower's id.
    """
    microseconds, pk = state or (0, 0)
    instant = settled_before(Subscriber)
    found, more = page(
        reader.rows(type_).filter(updated_at__lt=instant),
        size,
        column="updated_at",
        cursor=RowCursor(pk, _EPOCH + min(microseconds, 2**56) * _MICROSECOND),
        upwards=True,
        leading=Leading("updated_hour", hour_of),
    )
    # page() returns the newest first.
    changes = [Change(type_, row.pk, row) for row in found[::-1]]
    if more:
        last = found[0]
        return changes, [(last.updated_at - _EPOCH) // _MICROSECOND, last.pk]
    return changes, [max(microseconds, (instant - _EPOCH) // _MICROSECOND), 0]


_READERS: dict[str, Callable[[str, _State | None, Reader, int], tuple[list[Change], _State]]] = {
    "event": _read_events,
    "subscriber": _read_subscribers,
    "binding": _read_noted,
    "message": _read_noted,
    "scene": _read_noted,
}

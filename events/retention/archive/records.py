"""Converts a row of the log into a line of JSON, and back."""

from __future__ import annotations

import base64
import datetime
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from django.db import models

from events.models import EventLog
from events.retention.archive.error import ArchiveError

__all__ = ["COLUMNS", "batched", "event_of", "line_of", "packed"]

_FIELDS = EventLog._meta.concrete_fields
COLUMNS = [field.attname for field in _FIELDS]

_T = TypeVar("_T")


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yields the items in lists of up to `size`."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def line_of(values: tuple[Any, ...]) -> bytes:
    """Returns a row's values, in the order of COLUMNS, as a line of JSON."""
    return packed({name: _written(value) for name, value in zip(COLUMNS, values, strict=True)})


def packed(record: dict[str, Any]) -> bytes:
    """Returns a record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _written(value: Any) -> Any:
    match value:
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat(timespec="microseconds")
        case bytes() | memoryview():
            return base64.b64encode(value).decode()
        case _:
            return value


_READ: dict[type[models.Field[Any, Any]], Callable[[Any], Any]] = {
    models.DateTimeField: datetime.datetime.fromisoformat,
    models.BinaryField: base64.b64decode,
}


def event_of(record: dict[str, Any], accounts: dict[int, int], *, was_removed: bool) -> EventLog:
    """Returns the unsaved row of a record; raises ArchiveError if its account is not here."""
    values = {}
    for field in _FIELDS:
        # A column that is newer than the archive gets its default.
        if field.attname in record:
            value = record[field.attname]
            read = _READ.get(type(field))
            values[field.attname] = value if value is None or read is None else read(value)
    event = EventLog(**values)
    if event.account_id not in accounts:
        raise ArchiveError(f"Event {event.pk} is of an account that is not here.")
    event.account_id = accounts[event.account_id]
    # A row that was not folded before its removal is not carried over: it may still be folded.
    event.is_carried_over = event.is_carried_over or (was_removed and event.folded_at is not None)
    return event

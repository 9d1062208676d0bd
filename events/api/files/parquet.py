"""Writes the log as Parquet, a file for each month of event_time, for DuckDB, pandas and lakes.

Rows and columns are those of the API's list of events, with the same masks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from events.api.files.event_rows import EventRows
from events.db.keyset import cursor_of, portions
from events.models import EventLog
from events.months import Month

__all__ = ["months_in_log", "write_month"]

# Rows of a row group. Readers can skip a whole group by its times.
_GROUP = 50_000
_TIMES = {name: EventRows.columns.index(name) for name in ("event_time", "received_at")}
_TEXT = pyarrow.string()
# For columns with few different values: readers get categories.
_NAME = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
_SCHEMA = pyarrow.schema(
    [
        pyarrow.field("id", pyarrow.int64(), nullable=False),
        *((name, _NAME) for name in ("account", "source", "kind", "msg_type", "event")),
        *((name, _TEXT) for name in ("event_key", "scene", "ticket", "msg_id", "openid")),
        *((name, pyarrow.timestamp("us", tz="UTC")) for name in _TIMES),
        ("delivery_count", pyarrow.int32()),
        ("status", _NAME),
        ("error", _TEXT),
        ("mended", pyarrow.bool_()),
        # As JSON; null where the body cannot be read.
        ("payload", _TEXT),
    ]
)


def months_in_log() -> list[Month]:
    """Returns the months in which the log has events, oldest first."""
    return sorted(set(EventLog.objects.months()), key=lambda month: month.start)


def write_month(month: Month, folder: Path) -> tuple[Path, int]:
    """Writes `events-YYYY-MM.parquet` in the order of event_time; returns path and row count.

    The file replaces a former one only when it is complete. It needs the memory of one row group.
    """
    path = folder / f"events-{month}.parquet"
    part = path.with_suffix(".part")
    rows = 0
    try:
        with pyarrow.parquet.ParquetWriter(part, _SCHEMA, compression="zstd") as writer:
            group: list[dict[str, Any]] = []
            columns = EventRows.columns
            found = EventLog.objects.in_month(month).values_list(*columns)
            for events in portions(found, "event_time", cursor_of=cursor_of(columns)):
                group += _records(events)
                rows += len(events)
                if len(group) >= _GROUP:
                    writer.write_table(pyarrow.Table.from_pylist(group, _SCHEMA))
                    group = []
            writer.write_table(pyarrow.Table.from_pylist(group, _SCHEMA))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path, rows


def _records(events: Sequence[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for event, shown in zip(events, EventRows().shown(events), strict=True):
        record = dict(zip(EventRows.fields, shown, strict=True))
        payload = record["payload"]
        record["payload"] = None if payload is None else json.dumps(payload, ensure_ascii=False)
        yield record | {name: event[place] for name, place in _TIMES.items()}

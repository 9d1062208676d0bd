"""Stores a batch of usual pushes on PostgreSQL by one statement.

The general way (events/log/process.py) takes five round trips for a batch: BEGIN and limits, rows
of the log, the fold, COMMIT, and the check of a pooled connection. Here the batch goes out as one
JSON text, to a statement that the server has prepared:

    WITH given   the pushes, from the JSON
    , stored     INSERT INTO the log, or count one more delivery of a row that is there
    , outcome    each push with its stored row's id, and whether it is new
    , new        the new ones of these
    , …          a part for each projection that is written in SQL (registry.InStatement)
    SELECT       each push's position in the batch, its id, and whether it is new

A push is usual if it can be folded, if each of its projections is in SQL or changes nothing, and if
its text can be JSON. All others take the general way. Both ways leave the same rows: a test proves
it (subscribers/tests/state/test_one_statement.py).
"""

from __future__ import annotations

import datetime
import functools
import json
import logging
import operator
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from events.db.upsert import sql_type
from events.db.writer_connection import run_once
from events.log.registry import InStatement, in_statement_for
from events.models import EventLog
from events.models.event_log import delivery_statement

__all__ = ["Usual", "store", "store_if_usual", "usual"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usual:
    """An event that the statement can store.

    `columns` is its JSON without the opening brace. `rows` identifies the rows that its projections
    write.
    """

    event: EventLog
    key: tuple[int, datetime.datetime, str]
    columns: bytes
    parts: tuple[InStatement, ...]
    rows: frozenset[Hashable]


_LOG = delivery_statement(EventLog).columns
_values_of = operator.attrgetter(*_LOG)
_DEFAULTS = tuple(
    None if name == "delivery_count" else field.get_default() for name, field in _LOG.items()
)
# Cached, because the times of a push, and of the pushes in its batch, are mostly the same few.
_written = functools.lru_cache(maxsize=256)(datetime.datetime.isoformat)
_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_written
).encode
_OURS = frozenset({EventLog.Status.RECEIVED, EventLog.Status.PROCESSED})


def usual(event: EventLog) -> Usual | None:
    """Returns an unsaved event in the statement's form; None if it must take the general way."""
    if event.status not in _OURS:
        return None
    parts = in_statement_for(event)
    if parts is None:
        return None
    # The statement that inserts the row also folds it.
    event.folded_at = event.received_at
    values = {
        name: value
        for name, value, default in zip(_LOG, _values_of(event), _DEFAULTS, strict=True)
        if value != default
    }
    del values["delivery_count"]
    rows = []
    try:
        values["raw"] = bytes(event.raw).decode()
        for part in parts:
            said = part.values(event)
            if said is not None:
                values.update(said)
                rows.append((part.sql, part.row(event)))
        columns = _encode(values).encode()
    except UnicodeError:
        return None
    # PostgreSQL's text cannot hold NUL.
    if b"\\u0000" in columns:
        return None
    key = (event.account_id, event.event_time, event.dedup_key)
    return Usual(event, key, columns[1:], tuple(parts), frozenset(rows))


def store_if_usual(events: Sequence[EventLog]) -> list[bool] | None:
    """Stores and folds unsaved events by the statement; returns which are new.

    Stores nothing, and returns None, if they must take the general way. Raises OperationalError or
    InterfaceError as `store` does.
    """
    if connection.vendor != "postgresql":
        return None
    batch = []
    for event in events:
        one = usual(event)
        if one is None:
            return None
        batch.append(one)
    if not _write_different_rows(batch):
        return None
    try:
        return store(batch)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        # The general way finds the faulty event, and stores the others.
        logger.warning("%s pushes are stored the general way: %s", len(batch), error)
        return None


def _write_different_rows(batch: Sequence[Usual]) -> bool:
    """Whether different pushes write different rows, for one statement changes a row only once.

    Several deliveries of one push count as one.
    """
    writers: dict[Hashable, Hashable] = {}
    return all(writers.setdefault(row, one.key) == one.key for one in batch for row in one.rows)


def store(batch: Sequence[Usual]) -> list[bool]:
    """Stores and folds the batch; sets the pk of each event; returns which are new.

    If a push occurs twice, only its first event is new. Raises OperationalError or InterfaceError
    if it is unknown whether anything was stored, another DatabaseError if nothing was.
    """
    same: dict[tuple[int, datetime.datetime, str], list[Usual]] = {}
    for one in batch:
        same.setdefault(one.key, []).append(one)
    # All processes store in the order of the keys, as EventLogQuerySet.deliver() does, so that two
    # that store the same pushes do not deadlock.
    pushes = [same[key] for key in sorted(same)]
    given = b",".join(
        b'{"position":%d,"delivery_count":%d,%b' % (position, len(push), push[0].columns)
        for position, push in enumerate(pushes)
    )
    parts = tuple(dict.fromkeys(part for one in batch for part in one.parts))
    new = set()
    for position, pk, is_new in run_once(_statement(parts), b"[%b]" % given):
        assert position is not None
        assert pk is not None
        push = pushes[int(position)]
        push[0].event.delivery_count = len(push)
        for one in push:
            one.event.pk = int(pk)
        if is_new == b"t":
            new.add(id(push[0]))
    return [id(one) in new for one in batch]


@functools.cache
def _statement(parts: tuple[InStatement, ...]) -> bytes:
    log = delivery_statement(EventLog)
    types = {name: sql_type(field, connection) for name, field in log.columns.items()}
    types["raw"] = "text"
    for part in parts:
        types |= part.columns()
    definitions = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    values = ", ".join(
        _value(name, default) for name, default in zip(log.columns, _DEFAULTS, strict=True)
    )
    stored = log.from_select(connection, values, "FROM given ORDER BY position")
    folds = "".join(f", fold_{number} AS ({part.sql()})" for number, part in enumerate(parts))
    return (
        "WITH given AS MATERIALIZED (SELECT * FROM json_to_recordset($1::json) "
        f"AS given(position int, {definitions})), "
        f"stored AS ({stored}), "
        "outcome AS MATERIALIZED (SELECT given.*, stored.id, "
        # If the row was there before, its count exceeds the deliveries of this batch.
        "stored.delivery_count = given.delivery_count AS is_new FROM given JOIN stored "
        "USING (account_id, event_time, dedup_key)), "
        f"new AS (SELECT * FROM outcome WHERE is_new){folds} "
        "SELECT position, id, is_new FROM outcome"
    ).encode()


def _value(name: str, default: str | bool | None) -> str:
    if name == "raw":
        return "convert_to(raw, 'UTF8')"
    if default is None:
        return name
    return f"COALESCE({name}, '{str(default).lower() if isinstance(default, bool) else default}')"

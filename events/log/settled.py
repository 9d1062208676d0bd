"""Finds how far a reader can read a table in ascending order without missing a row.

PostgreSQL gives out ids before their transactions commit. So a row with a smaller id can appear
after a poller has read a larger one, and a poller that remembers only the largest id loses rows.
This module takes the largest id, lists the transactions that are writing to the table, and waits
until they end: all ids that are given out later are larger. The same holds for a time that
statements take from the database's clock while they hold the table's lock. SQLite has one writer at
a time, so its ids and such times commit in order.
"""

from __future__ import annotations

import datetime
import time

from django.db import OperationalError, connection, transaction
from django.db.models import Max, Model

from events.db.schema.change_triggers import SEQUENCE
from events.db.upsert import FUNCTIONS
from events.models import EventLog, RowChange

__all__ = [
    "Unsettled",
    "settled_before",
    "settled_sequence",
    "settled_up_to",
    "settled_upper_bound",
]

# Seconds. The callback's transactions end within three. Only maintenance takes longer; then the
# caller tries again later.
_WAIT = 2.0
_PAUSE = 0.01


class Unsettled(Exception):
    """Transactions write to the table for longer than this module waits."""


def settled_upper_bound() -> int:
    """Returns the id up to which no event can appear any more; raises `Unsettled`."""
    highest = EventLog.objects.aggregate(highest=Max("id"))["highest"] or 0
    if connection.vendor == "postgresql":
        _wait_for_writers(EventLog)
    return int(highest)


def settled_up_to(model: type[Model]) -> datetime.datetime | None:
    """Returns the time up to which no change of a table can appear any more; raises `Unsettled`.

    The changes have their time from `FUNCTIONS["now"]`. None means that every visible change is
    settled.
    """
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone()
    _wait_for_writers(model)
    assert isinstance(moment, datetime.datetime)
    return moment


def settled_before(model: type[Model]) -> datetime.datetime:
    """Returns a time before which no change of a table can appear any more.

    Changes visible at the call have an earlier time; all later changes have this time or a later
    one. Raises `Unsettled`.
    """
    moment = settled_up_to(model)
    if moment is not None:
        return moment
    # SQLite's clock counts milliseconds: wait until the present one, which may have changes, ends.
    time.sleep(0.002)
    try:
        # This transaction has the write lock, so no writer has an open change with an earlier time.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {FUNCTIONS['sqlite']['now']}")
            (text,) = cursor.fetchone()
    except OperationalError:
        raise Unsettled from None
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def settled_sequence(type_: str) -> int:
    """Returns the `seq` of `RowChange` up to which no change of a type can appear any more.

    Raises `Unsettled`.
    """
    if connection.vendor != "postgresql":
        rows = RowChange.objects.filter(type=type_)
        return int(rows.aggregate(highest=Max("seq"))["highest"] or 0)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value FROM {SEQUENCE}")
        (last,) = cursor.fetchone()
    _wait_for_writers(RowChange)
    return int(last)


def _wait_for_writers(model: type[Model]) -> None:
    table = model._meta.db_table
    writers = _writing_transactions(table)
    deadline = time.monotonic() + _WAIT
    while writers:
        if time.monotonic() > deadline:
            raise Unsettled
        time.sleep(_PAUSE)
        writers &= _writing_transactions(table)


def _writing_transactions(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' "
            "AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid() "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND relation = %s::regclass",
            [table],
        )
        return {row[0] for row in cursor.fetchall()}

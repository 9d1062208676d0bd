"""How far the log can be read in ascending order without skipping a row.

On PostgreSQL ids are given out before their transactions commit, so a row with a smaller id can
appear after one with a larger id was read; a poller that goes by the largest id it saw loses rows.
What holds: take the largest id, note the transactions that are writing to the log at that moment,
wait until they are over, and read no further than that id. Whatever gets an id later gets a larger
one. SQLite has one writer at a time, so there ids commit in order.
"""

from __future__ import annotations

import time

from django.db import connection
from django.db.models import Max

from events.models import EventLog

__all__ = ["settled_upper_bound"]

# Seconds. The callback's transactions end after three at the latest; a longer one is somebody's
# maintenance, and the caller asks again.
_WAIT = 2.0
_PAUSE = 0.01


def settled_upper_bound() -> int | None:
    """The id up to which every row is there for good; None if waiting for that takes too long."""
    highest = EventLog.objects.aggregate(highest=Max("id"))["highest"] or 0
    if connection.vendor != "postgresql":
        return highest
    writers = _writing_transactions()
    deadline = time.monotonic() + _WAIT
    while writers:
        if time.monotonic() > deadline:
            return None
        time.sleep(_PAUSE)
        writers &= _writing_transactions()
    return highest


def _writing_transactions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' "
            "AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid() "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND relation = %s::regclass",
            [EventLog._meta.db_table],
        )
        return {row[0] for row in cursor.fetchall()}

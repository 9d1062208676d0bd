"""How far the log can be read in ascending order without skipping a row.

PostgreSQL gives out ids before their transactions commit, so a row with a smaller id can appear
after a poller has read a larger one; a poller that keeps only the largest id loses rows. So this
module takes the largest id, notes the transactions that are writing to the log, and waits until
they end: all ids that are given out later are larger. SQLite has one writer at a time, so its ids
commit in order.
"""

from __future__ import annotations

import time

from django.db import connection
from django.db.models import Max

from events.models import EventLog

__all__ = ["settled_upper_bound"]

# Seconds. The callback's transactions end within three. A longer one belongs to maintenance; then
# the caller asks again.
_WAIT = 2.0
_PAUSE = 0.01


def settled_upper_bound() -> int | None:
    """The id up to which no row can still appear; None if the wait takes too long."""
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

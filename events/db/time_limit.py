"""A limit on the time that a read may keep the database busy.

Each filter of a list has an index, so one filter is quick on a log of any size. Two filters that
are frequent each and rarely match together are slow: the database reads all rows of one of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

__all__ = ["SECONDS", "TookTooLong", "time_limit"]

# For one statement on PostgreSQL, for all of them on SQLite.
SECONDS = 10.0

# After so many steps, every few milliseconds, SQLite calls the handler.
_STEPS = 20_000


class TookTooLong(Exception):
    """The read did not end within the limit."""


@contextmanager
def time_limit(seconds: float | None = None) -> Iterator[None]:
    """Ends the reading inside after so many seconds, SECONDS by default; raises TookTooLong."""
    limited = _on_postgresql if connection.vendor == "postgresql" else _on_sqlite
    try:
        with limited(SECONDS if seconds is None else seconds):
            yield
    except OperationalError as error:
        # psycopg: QueryCanceled; sqlite3: "interrupted".
        if "QueryCanceled" in type(error.__cause__).__name__ or "interrupted" in str(error):
            raise TookTooLong from error
        raise


@contextmanager
def _on_postgresql(seconds: float) -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{int(seconds * 1000)}ms"]
            )
        yield


@contextmanager
def _on_sqlite(seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    deadline = time.monotonic() + seconds
    raw = connection.connection
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)

"""Limits the time that a read may keep the database busy.

Each filter of a list has an index, so one filter is quick on a log of any size. Two filters are
slow if many rows match each of them but few match both: the database reads all rows of one filter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

__all__ = ["SECONDS", "TookTooLong", "time_limit"]

# The default limit: for each statement on PostgreSQL, for the whole block on SQLite.
SECONDS = 10.0

# Steps of SQLite between two calls of the handler, which is every few milliseconds.
_STEPS = 20_000


class TookTooLong(Exception):
    """The read did not end within the limit."""


@contextmanager
def time_limit(seconds: float | None = None) -> Iterator[None]:
    """Stops reads in the block after `seconds`, SECONDS by default; raises TookTooLong then."""
    limited = _on_postgresql if connection.vendor == "postgresql" else _on_sqlite
    try:
        with limited(SECONDS if seconds is None else seconds):
            yield
    except OperationalError as error:
        # psycopg raises QueryCanceled; sqlite3 says "interrupted".
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

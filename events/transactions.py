"""Transactions that give up rather than outlast the five seconds WeChat waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

__all__ = ["PATIENCE", "short_transaction"]

# Seconds to wait for a turn to write or for a lock; the whole answer has five.
PATIENCE = 2

_sqlite_turn = threading.Lock()


@contextmanager
def short_transaction(patience: float = PATIENCE) -> Iterator[None]:
    """A transaction that gives up when it could not begin or go on in that many seconds.

    Raises OperationalError then.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, true), "
                "set_config('statement_timeout', %s, true)",
                [f"{int(patience * 1000)}ms", f"{int(patience * 1000) + 1000}ms"],
            )
            yield
        return
    # SQLite lets waiting writers sleep longer and longer, the unlucky ones for ever: with 16
    # threads half of the pushes were refused. In turn, each waits for a few milliseconds.
    if not _sqlite_turn.acquire(timeout=patience):
        raise OperationalError("no turn to write within the time a push has")
    try:
        with _busy_timeout(patience), transaction.atomic():
            yield
    finally:
        _sqlite_turn.release()


@contextmanager
def _busy_timeout(seconds: float) -> Iterator[None]:
    """Lets SQLite wait for other processes no longer than this; all else may wait longer."""
    connection.ensure_connection()
    # The driver itself: Django's cursors take as long for this as a row takes to be stored.
    execute = connection.connection.execute
    usual = connection.settings_dict["OPTIONS"]["timeout"]
    execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
    try:
        yield
    finally:
        execute(f"PRAGMA busy_timeout = {int(usual * 1000)}")

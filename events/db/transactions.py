"""Transactions that give up rather than outlast the five seconds WeChat waits for an answer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from django.db import OperationalError, connection, transaction
from psycopg.pq import ExecStatus, TransactionStatus

__all__ = ["LOCK_TIMEOUT", "short_transaction"]

# Seconds to wait for a turn to write or for a lock; the whole answer has five.
LOCK_TIMEOUT = 2

# Seconds between two looks at whether another process has let go of a SQLite file. A batch of
# pushes takes some milliseconds.
_LOOK_EVERY = 0.0003

_sqlite_turn = threading.Lock()


@contextmanager
def short_transaction(patience: float = LOCK_TIMEOUT) -> Iterator[None]:
    """A transaction that gives up when it could not begin or go on in that many seconds.

    Raises OperationalError then.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic():
            _begin_with_limits(int(patience * 1000))
            yield
        return
    # SQLite lets waiting writers sleep longer and longer, the unlucky ones for ever: with 16
    # threads half of the pushes were refused. In turn, each waits for a few milliseconds; and of
    # the other processes' turns the end is looked for often.
    deadline = time.monotonic() + patience
    if not _sqlite_turn.acquire(timeout=patience):
        raise OperationalError("no turn to write within the time a push has")
    try:
        with _no_waiting(), ExitStack() as transactions:
            while True:
                try:
                    transactions.enter_context(transaction.atomic())
                    break
                except OperationalError as error:
                    if not _is_locked(error) or time.monotonic() > deadline:
                        raise
                time.sleep(_LOOK_EVERY)
            yield
    finally:
        _sqlite_turn.release()


def _begin_with_limits(lock_timeout: int) -> None:
    """Begins the transaction that Django has announced, in one round trip; in milliseconds.

    With cursors it takes two, and more of this process's time than storing a push.
    """
    driver: psycopg.Connection[object] = connection.connection
    begin = "BEGIN; " if driver.info.transaction_status == TransactionStatus.IDLE else ""
    limits = (
        f"SET LOCAL lock_timeout = {lock_timeout}; "
        f"SET LOCAL statement_timeout = {lock_timeout + 1000}"
    )
    with connection.wrap_database_errors:
        result = driver.pgconn.exec_(f"{begin}{limits}".encode())
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Has SQLite say at once that another process writes; all else may wait for it."""
    connection.ensure_connection()
    # The driver itself: Django's cursors take as long for this as a row takes to be stored.
    execute = connection.connection.execute
    usual = connection.settings_dict["OPTIONS"]["timeout"]
    execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        execute(f"PRAGMA busy_timeout = {int(usual * 1000)}")


def _is_locked(error: OperationalError) -> bool:
    # The lower byte is the code, the rest says more of it.
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY

"""Transactions that give up before WeChat's five seconds for an answer are over."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from django.db import OperationalError, close_old_connections, connection, transaction
from psycopg.pq import ExecStatus, TransactionStatus

__all__ = ["LOCK_TIMEOUT", "release_connection", "short_transaction"]

# Seconds to wait for the write lock or a row lock; the whole answer has five.
LOCK_TIMEOUT = 2

# Seconds between two polls of another process's lock on a SQLite file. A batch of pushes holds it
# for some milliseconds.
_POLL_EVERY = 0.0003

_sqlite_turn = threading.Lock()


def release_connection() -> None:
    """Gives this thread's connection back to the pool, unless it is in a caller's transaction."""
    if connection.connection is not None and not connection.in_atomic_block:
        close_old_connections()


@contextmanager
def short_transaction(lock_timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """A transaction that gives up if it waits for a lock for so many seconds.

    Raises OperationalError then.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic():
            _begin_with_limits(int(lock_timeout * 1000))
            yield
        return
    # SQLite lets waiting writers sleep longer and longer, some for ever: with 16 threads it refused
    # half of the pushes. So the threads of a process take turns of a few milliseconds, and the one
    # whose turn it is polls until the other process releases its lock.
    deadline = time.monotonic() + lock_timeout
    if not _sqlite_turn.acquire(timeout=lock_timeout):
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
                time.sleep(_POLL_EVERY)
            yield
    finally:
        _sqlite_turn.release()


def _begin_with_limits(lock_timeout: int) -> None:
    """Begins the transaction that Django has announced, in one round trip; in milliseconds.

    Cursors need two, and more processor time than storing a push.
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
    """Lets SQLite fail at once while another process writes; readers go on waiting."""
    connection.ensure_connection()
    # The driver itself: a cursor of Django takes as long for this as storing a row.
    execute = connection.connection.execute
    usual = connection.settings_dict["OPTIONS"]["timeout"]
    execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        execute(f"PRAGMA busy_timeout = {int(usual * 1000)}")


def _is_locked(error: OperationalError) -> bool:
    # The lower byte is the code, the upper ones detail it.
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY

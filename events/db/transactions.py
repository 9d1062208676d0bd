"""Transactions that give up within the five seconds that WeChat waits for an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from django.db import OperationalError, close_old_connections, connection, transaction
from psycopg.pq import ExecStatus, TransactionStatus

from events.db.sqlite_lock import waiting_at_most

__all__ = ["LOCK_TIMEOUT", "LOCK_TIMEOUT_OF_ONE", "release_connection", "short_transaction"]

# Seconds to wait for the write lock or a row lock; the whole answer has five.
LOCK_TIMEOUT = 2
# The same for one row of a batch that failed.
LOCK_TIMEOUT_OF_ONE = 0.2

# Seconds between two polls of another process's lock on a SQLite file. A batch of pushes holds it
# for some milliseconds.
_POLL_EVERY = 0.0003

_sqlite_turn = threading.Lock()


def release_connection() -> None:
    """Gives this thread's connection back to the pool, unless it is inside a transaction."""
    if connection.connection is not None and not connection.in_atomic_block:
        close_old_connections()


@contextmanager
def short_transaction(
    lock_timeout: float = LOCK_TIMEOUT, *, statements_are_limited: bool = True
) -> Iterator[None]:
    """A transaction that raises OperationalError after it waited `lock_timeout` seconds for a lock.

    On PostgreSQL it also raises if a statement takes more than a second longer than that. Pass
    `statements_are_limited=False` if no push waits for the rows: then a statement may take longer.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic():
            _begin_with_limits(int(lock_timeout * 1000), statements_are_limited)
            yield
        return
    # SQLite lets waiting writers sleep longer and longer, and some never get the lock: with 16
    # threads it refused half of the pushes. So the threads of a process take turns of a few
    # milliseconds, and one thread polls until the other process releases its lock.
    deadline = time.monotonic() + lock_timeout
    if not _sqlite_turn.acquire(timeout=lock_timeout):
        raise OperationalError("other threads held the write lock for too long")
    try:
        with ExitStack() as transactions:
            with waiting_at_most(deadline - time.monotonic(), poll_every=_POLL_EVERY):
                transactions.enter_context(transaction.atomic())
            yield
    finally:
        _sqlite_turn.release()


def _begin_with_limits(lock_timeout: int, statements_are_limited: bool) -> None:
    """Begins the transaction that Django has prepared, and sets its limits, in one round trip.

    `lock_timeout` is in milliseconds. Cursors need two round trips, and more processor time than
    storing a push.
    """
    driver: psycopg.Connection[object] = connection.connection
    begin = "BEGIN; " if driver.info.transaction_status == TransactionStatus.IDLE else ""
    limits = f"SET LOCAL lock_timeout = {lock_timeout}"
    if statements_are_limited:
        limits += f"; SET LOCAL statement_timeout = {lock_timeout + 1000}"
    with connection.wrap_database_errors:
        result = driver.pgconn.exec_(f"{begin}{limits}".encode())
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)

"""Waits for SQLite's write lock outside of SQLite.

A thread that waits inside SQLite (busy_timeout) holds its connection's mutex all the time.
Meanwhile Python's garbage collector may run in the thread that has the write lock, and clear a
cursor of the waiting connection, which needs the same mutex. Then the two threads wait for each
other, and no push is stored until the timeout ends that, 20 seconds later. A thread that waits
outside holds no mutex between its tries.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["wait_outside", "waiting_at_most"]

# Seconds between two tries. The transaction of a push holds the lock for some milliseconds.
_POLL_EVERY = 0.002
_sleep = time.sleep


class _Wait(threading.local):
    seconds: float | None = None
    poll_every = _POLL_EVERY


_wait = _Wait()


def wait_outside(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Makes a new connection wait outside of SQLite; a receiver of connection_created.

    It waits up to OPTIONS["timeout"] seconds, or up to the limit of `waiting_at_most`.
    """
    if connection.vendor == "sqlite":
        connection.connection.execute("PRAGMA busy_timeout = 0")
        if _execute not in connection.execute_wrappers:
            connection.execute_wrappers.insert(0, _execute)


@contextmanager
def waiting_at_most(seconds: float, *, poll_every: float = _POLL_EVERY) -> Iterator[None]:
    """Limits each wait that this thread begins in the block to `seconds`."""
    former = _wait.seconds, _wait.poll_every
    _wait.seconds, _wait.poll_every = seconds, poll_every
    try:
        yield
    finally:
        _wait.seconds, _wait.poll_every = former


def _execute(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    connection = context["connection"]
    if connection.in_atomic_block:
        # The transaction has the lock already, from its BEGIN IMMEDIATE.
        return execute(sql, params, many, context)
    deadline: float | None = None
    while True:
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            if not _is_locked(error):
                raise
            if deadline is None:
                seconds = _wait.seconds
                if seconds is None:
                    seconds = connection.settings_dict["OPTIONS"].get("timeout", 5)
                deadline = time.monotonic() + seconds
            if time.monotonic() > deadline:
                raise
        _sleep(_wait.poll_every)


def _is_locked(error: OperationalError) -> bool:
    # The lowest byte is the code; the others give details.
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY

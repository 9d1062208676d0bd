"""Runs an act in another thread, and waits until its transaction waits for a lock of the test's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import connection, connections

__all__ = ["InAnotherThread", "wait_for_a_lock"]


class InAnotherThread(threading.Thread):
    """Runs `act` with a connection of its own, and keeps what it raises."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.failed: list[Exception] = []
        self._act = act

    def run(self) -> None:
        try:
            self._act()
        except Exception as error:
            self.failed.append(error)
        finally:
            connections.close_all()


def wait_for_a_lock(thread: threading.Thread, *, waiting: int = 1) -> None:
    """Returns when so many connections wait for a lock, or when the thread has ended."""
    # A lock of a row has no database; but who waits for one holds locks of tables.
    wait_here = (
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN "
        "(SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE datname = current_database())"
    )
    with connection.cursor() as cursor:
        while thread.is_alive():
            cursor.execute(wait_here)
            if cursor.fetchone()[0] >= waiting:
                return
            time.sleep(0.01)

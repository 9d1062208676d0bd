"""Waits until another thread's transaction waits for a lock of the test's."""

from __future__ import annotations

import threading
import time

from django.db import connection

__all__ = ["wait_for_a_lock"]


def wait_for_a_lock(thread: threading.Thread) -> None:
    """Returns when the thread's connection waits for a lock, or when the thread has ended."""
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with connection.cursor() as cursor:
        while thread.is_alive():
            cursor.execute(waiting)
            if cursor.fetchone():
                return
            time.sleep(0.01)

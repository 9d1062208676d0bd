"""Counts refused requests in memory, and stores the counts for operators every few seconds.

A stranger may send thousands of such requests. So none of them costs a query, and the table has one
row for each minute, account and reason.
"""

from __future__ import annotations

import datetime
import functools
import logging
import threading
import time
from collections import Counter

from django.db import Error, connection
from django.utils import timezone

from events.db.transactions import release_connection, short_transaction
from events.db.upsert import Upsert
from events.models import CallbackRefusal

__all__ = ["UNKNOWN_ACCOUNT", "forget_refusals", "note_refusal", "store_always", "store_refusals"]

logger = logging.getLogger(__name__)

UNKNOWN_ACCOUNT = "unknown_account"
_STORE_EVERY = 5
_KEPT = datetime.timedelta(days=30)
# The most counts, by minute, account and reason. It bounds the memory of a process that does not
# run the thread.
_MOST_KEPT = 1000

_lock = threading.Lock()
_noted: Counter[tuple[datetime.datetime, str, str]] = Counter()


def note_refusal(account: str, reason: str) -> None:
    """Counts a refusal. `account` is a handle, or "" if the address belongs to no account."""
    minute = timezone.now().replace(second=0, microsecond=0)
    with _lock:
        if len(_noted) < _MOST_KEPT or (minute, account, reason) in _noted:
            _noted[minute, account, reason] += 1


def store_refusals() -> None:
    """Adds what this process has counted to the table."""
    with _lock:
        rows = sorted((*key, number) for key, number in _noted.items())
        _noted.clear()
    if not rows:
        return
    try:
        with short_transaction():
            _count_upsert().execute(connection, rows)
    except Error:
        with _lock:
            for minute, account, reason, number in rows:
                _noted[minute, account, reason] += number
        raise


@functools.cache
def store_always() -> None:
    """Starts the thread that stores this process's refusals; a second call does nothing."""
    threading.Thread(target=_store_always, name="refusals", daemon=True).start()


def _store_always() -> None:
    while True:
        time.sleep(_STORE_EVERY)
        try:
            store_refusals()
        except Exception:
            logger.exception("Refusals could not be stored")
        finally:
            release_connection()


def forget_refusals(now: datetime.datetime) -> int:
    """Removes refusals older than 30 days; returns the number of rows."""
    return CallbackRefusal.objects.filter(minute__lt=now - _KEPT).delete()[0]


@functools.cache
def _count_upsert() -> Upsert:
    return Upsert(
        CallbackRefusal,
        key=("minute", "account", "reason"),
        values=("number",),
        update={"number": "old.number + excluded.number"},
    )

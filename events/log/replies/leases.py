"""Claims a row to make its reply: a lease on the row, renewed while the handler runs.

A lease locks nothing. If a process is killed, its lease ends seconds later. If a handler runs
longer than settings.REPLY_HANDLER_SECONDS, its lease is no longer renewed, and its reply is
discarded after the lease has ended.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import secrets
import threading
import time
from collections.abc import Iterator

from django.conf import settings
from django.db import connections
from django.utils import timezone

from events.db.transactions import release_connection, short_transaction
from events.delays import EVENT
from events.models import EventLog

__all__ = ["claim", "lease_seconds", "renewed"]

logger = logging.getLogger(__name__)


def lease_seconds() -> float:
    """Returns twice WeChat's waiting time: its third try then finds a dead process's row free."""
    return 2 * float(settings.CALLBACK_SECONDS)


def claim(event: EventLog) -> EventLog | None:
    """Leases a folded row without outcome to the caller, and returns it.

    Returns None if there is no such row, or if another process has it. It reads only the key of
    `event`. A former lease that ended without an outcome counts as an attempt; after the last
    attempt the row becomes DEAD, and this function returns None.
    """
    rows = EventLog.objects.with_key_of(event)
    with short_transaction():
        row = rows.awaiting_outcome().folded().select_related("account").first()
        now = timezone.now()
        if row is None or (row.leased_until is not None and row.leased_until > now):
            return None
        former = row.lease
        if former:
            row.attempts += 1
        is_dead = row.attempts > len(EVENT)
        columns: dict[str, object] = {"attempts": row.attempts}
        if is_dead:
            columns |= {
                "status": EventLog.Status.DEAD,
                "next_attempt_at": None,
                "lease": "",
                "leased_until": None,
                "error": "The reply handler was stopped, or took too long, each time.",
            }
        else:
            row.lease = secrets.token_hex(8)
            row.leased_until = now + datetime.timedelta(seconds=lease_seconds())
            columns |= {
                "lease": row.lease,
                "leased_until": row.leased_until,
                # If this process dies, the worker takes the row then.
                "next_attempt_at": row.leased_until,
            }
        is_written = rows.awaiting_outcome().filter(lease=former).update(**columns)
    return row if is_written and not is_dead else None


_Held = tuple[int, datetime.datetime, float]


class _Renewals:
    """Renews the leases of this process in one thread, which ends when no leases are left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # For each lease the row's key, and the time.monotonic() until which to renew the lease. It
        # does not hold row objects, because saving a reply removes their lease.
        self._held: dict[str, _Held] = {}
        self._has_thread = False

    def add(self, row: EventLog) -> None:
        with self._lock:
            until = time.monotonic() + settings.REPLY_HANDLER_SECONDS
            self._held[row.lease] = row.pk, row.event_time, until
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._renew, name="leases", daemon=True).start()

    def remove(self, lease: str) -> None:
        with self._lock:
            self._held.pop(lease, None)

    def _renew(self) -> None:
        while True:
            time.sleep(lease_seconds() / 4)
            with self._lock:
                now = time.monotonic()
                due = {lease: held for lease, held in self._held.items() if held[2] > now}
                if not self._held:
                    self._has_thread = False
                    break
            try:
                self._renew_all(due)
            except Exception:
                logger.warning("Leases could not be renewed", exc_info=True)
        connections.close_all()

    def _renew_all(self, due: dict[str, _Held]) -> None:
        until = timezone.now() + datetime.timedelta(seconds=lease_seconds())
        try:
            for lease, (pk, event_time, _) in due.items():
                EventLog.objects.filter(pk=pk, event_time=event_time, lease=lease).update(
                    leased_until=until, next_attempt_at=until
                )
        finally:
            release_connection()


_renewals = _Renewals()


@contextlib.contextmanager
def renewed(row: EventLog) -> Iterator[None]:
    """Keeps the lease of a claimed row while the block runs."""
    lease = row.lease
    _renewals.add(row)
    try:
        yield
    finally:
        _renewals.remove(lease)

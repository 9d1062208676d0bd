"""Watches rows whose handlers run in other processes, until these have finished or died."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future

from django.conf import settings
from django.db import connections
from django.utils import timezone

from events.db.transactions import release_connection
from events.models import EventLog

__all__ = ["watch"]

logger = logging.getLogger(__name__)

# Seconds between two queries.
_LOOK_EVERY = 0.1


class _Watch:
    """Asks the database about rows that other processes answer.

    One thread asks about all of them. It ends when no such rows are left.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, tuple[EventLog, Future[EventLog | None]]] = {}
        self._has_thread = False

    def look_at(self, row: EventLog) -> Future[EventLog | None]:
        """Returns a future that becomes None when no process has the row's lease any more."""
        with self._lock:
            _, future = self._rows.setdefault(row.pk, (row, Future()))
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._poll, name="watch", daemon=True).start()
            return future

    def _poll(self) -> None:
        # No push waits longer than this. Then release all futures: each waiting push reads its row
        # again.
        last = time.monotonic() + 2 * settings.CALLBACK_SECONDS
        has_failed = False
        while True:
            time.sleep(_LOOK_EVERY)
            with self._lock:
                looked_at = dict(self._rows)
                if not looked_at:
                    self._has_thread = False
                    break
            try:
                free = self._rows_without_lease([row for row, _ in looked_at.values()])
                has_failed = False
            except Exception:
                if not has_failed:
                    logger.warning("Rows of other processes could not be read", exc_info=True)
                has_failed = True
                free = set()
            if time.monotonic() > last:
                free = set(looked_at)
                last = time.monotonic() + 2 * settings.CALLBACK_SECONDS
            with self._lock:
                for pk in free:
                    del self._rows[pk]
            for pk in free:
                looked_at[pk][1].set_result(None)
        connections.close_all()

    def _rows_without_lease(self, rows: list[EventLog]) -> set[int]:
        at_it = EventLog.objects.filter(
            pk__in=[row.pk for row in rows],
            event_time__in={row.event_time for row in rows},
            leased_until__gt=timezone.now(),
        ).awaiting_outcome()
        try:
            return {row.pk for row in rows} - set(at_it.values_list("pk", flat=True))
        finally:
            release_connection()


watch = _Watch()

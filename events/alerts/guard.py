"""Lets the web processes raise the alert of a dead worker, which cannot do it itself."""

from __future__ import annotations

import datetime
import functools
import logging
import threading
import time

from django.utils import timezone

from events.alerts.rules import Condition
from events.alerts.send import send_messages
from events.alerts.watch import begin
from events.db.transactions import release_connection
from events.models import Alert, TaskRun

__all__ = ["guard_always", "look_for_worker"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 30


@functools.cache
def guard_always() -> None:
    """Starts the thread that checks the worker; a second call does nothing."""
    threading.Thread(target=_guard, name="guard", daemon=True).start()


def look_for_worker(now: datetime.datetime) -> bool:
    """Returns whether a worker runs; if not, opens the alert and sends the waiting messages.

    Any number of processes may call it: the alert is one row, and each message is a job with a
    lease.
    """
    if not TaskRun.objects.is_silent(now):
        return True
    begin(Condition("worker", Alert.Level.DOWN), now)
    send_messages()
    return False


def _guard() -> None:
    while True:
        # Sleep first, because a site that starts has no worker yet.
        time.sleep(_LOOK_EVERY)
        try:
            look_for_worker(timezone.now())
        except Exception:
            logger.exception("Could not check whether a worker runs")
        finally:
            release_connection()

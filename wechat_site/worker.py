"""The worker's schedule: what is done in the background, and how often.

The record of what is to be done is always a row, so a killed worker loses nothing and several of
them never do one thing twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import close_old_connections

from events.partitions import make_partitions_ahead
from events.processing import process_due
from events.retention import prune
from subscribers.binding import end_expired_requests

__all__ = ["DUTIES", "Duty", "work"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """A function over marked rows that returns how many it served, and its pause in seconds."""

    name: str
    serve: Callable[[], int]
    every: float


DUTIES: Sequence[Duty] = (
    Duty("events", process_due, every=1),
    Duty("binding requests", end_expired_requests, every=15),
    Duty("partitions", make_partitions_ahead, every=3600),
    # What had to stay the last time has a few more chances each day.
    Duty("retention", prune, every=6 * 3600),
)


def work(stop: threading.Event, *, duties: Sequence[Duty] = DUTIES) -> None:
    """Serves the duties until stop is set. A failing duty is logged and tried again later."""
    due = {duty.name: 0.0 for duty in duties}
    while not stop.is_set():
        for duty in duties:
            if stop.is_set() or time.monotonic() < due[duty.name]:
                continue
            close_old_connections()
            try:
                served = duty.serve()
            except Exception:
                logger.exception("Duty %r failed", duty.name)
                served = 0
            if served:
                logger.info("%s: %s served", duty.name, served)
            due[duty.name] = time.monotonic() + duty.every
        stop.wait(0.2)

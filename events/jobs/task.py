"""The worker's tasks, which any number of workers run at the same time.

There are two kinds. A task with a queue runs in every worker, all the time, and claims its rows one
by one. A scheduled task runs in one worker at each time: the worker claims the whole task through
its `TaskRun` row. Both record their claims in the database, so a killed worker loses nothing, and a
restarted worker repeats nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import Error, close_old_connections, connections
from django.db.models import F
from django.utils import timezone

from events.delays import TASK, lasting
from events.jobs.queues import Queue
from events.models import TaskRun
from events.wechat.api.transport.answer_fields import storable

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["LEASE", "Task", "has_work", "run_task"]

logger = logging.getLogger(__name__)

# How long a killed worker keeps a scheduled task. A living worker renews its lease.
LEASE = datetime.timedelta(seconds=60)
_DAY = 24 * 3600
# The longest time in seconds between two checks whether a scheduled task is due.
_LONGEST_LOOK = 10
# Seconds between two notes of a queue's runs for operators.
_NOTE_EVERY = 30
_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Task:
    """A function that serves the due rows, and returns how many it served.

    Give either `every`, in seconds, or `at`, a time of the day by the site's clock (TIME_ZONE).
    With a `queue`, every worker runs the task as long as rows are due, and looks at an empty queue
    every `every` seconds. Without a queue, one worker runs it once each time. A task that takes
    milliseconds may be `quick`. A task that calls WeChat or copies much has its own thread, or
    `threads` of them for a queue, so that it delays no other task. `title` is for operators.
    """

    name: str
    serve: Callable[[], int]
    every: float | None = None
    at: datetime.time | None = None
    quick: bool = False
    queue: Queue | None = None
    threads: int = 1
    title: StrOrPromise = ""

    def __post_init__(self) -> None:
        if (self.every is None) == (self.at is None):
            raise ValueError(f"Task {self.name!r}: give either every or at")
        if self.queue is not None and self.every is None:
            raise ValueError(f"Task {self.name!r}: a queue needs every")

    @property
    def schedule(self) -> str:
        """`every` or `at` as a text, by which a change is noticed."""
        return f"at {self.at}" if self.at is not None else f"every {self.every:g}"

    @property
    def look_every(self) -> float:
        """Seconds between two checks for work."""
        if self.every is None:
            return _LONGEST_LOOK
        return self.every if self.queue else max(0.2, min(self.every / 5, _LONGEST_LOOK))

    def next_after(self, moment: datetime.datetime) -> datetime.datetime:
        """Returns when the task is due next, if it began at `moment`."""
        if self.at is None:
            return moment + datetime.timedelta(seconds=self.every or 0)
        local = timezone.localtime(moment)
        # Use the calendar, not 24 hours: a day with a change of the clock has 23 or 25 hours.
        day = local.date() if local.time() < self.at else local.date() + datetime.timedelta(days=1)
        return datetime.datetime.combine(day, self.at, tzinfo=timezone.get_default_timezone())


def run_task(task: Task, stop: threading.Event, *, at_most: float = _DAY) -> None:
    """Runs a task as long as it has work, for about `at_most` seconds; raises nothing.

    It logs a failure and notes it for operators. The next check tries again.
    """
    close_old_connections()
    try:
        if task.queue is not None:
            _serve_queue(task, stop, time.monotonic() + at_most)
        else:
            _serve_on_schedule(task)
    except Error:
        logger.exception("Task %r could not be run", task.name)
    finally:
        # The connection goes back to the pool while the thread waits.
        close_old_connections()


def has_work(task: Task) -> bool:
    """Whether a task may have work. Notes a check of an empty queue too. Raises nothing.

    It is always true for a scheduled task: `run_task` checks the schedule.
    """
    if task.queue is None:
        return True
    try:
        if task.queue.is_due(timezone.now()):
            return True
        _tally_of(task.name).note(0, 0)
    except Exception:
        logger.exception("Task %r could not be run", task.name)
    return False


# --- Queues ------------------------------------------------------------------------------------


def _serve_queue(task: Task, stop: threading.Event, until: float) -> None:
    tally = _tally_of(task.name)
    while not stop.is_set():
        began = time.monotonic()
        try:
            served = task.serve()
        except Exception as error:
            logger.exception("Task %r failed", task.name)
            tally.note_failure(error)
            return
        tally.note(served, time.monotonic() - began)
        if not served or time.monotonic() > until:
            return


class _Tally:
    """Sums up how many rows of one queue this process serves; stores the sum every 30 seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._served = 0
        self._seconds = 0.0
        self._said_at = 0.0
        self._has_failed = False

    def note(self, served: int, seconds: float) -> None:
        with self._lock:
            self._served += served
            self._seconds += seconds
            is_time = time.monotonic() >= self._said_at + _NOTE_EVERY
            if not (is_time or self._has_failed):
                return
            served, seconds = self._served, self._seconds
            self._served, self._seconds = 0, 0.0
            self._said_at = time.monotonic()
            self._has_failed = False
        TaskRun.objects.note(
            self._name,
            served=served,
            finished_at=timezone.now(),
            duration_ms=round(seconds * 1000),
            error="",
            failures=0,
        )

    def note_failure(self, error: Exception) -> None:
        with self._lock:
            self._has_failed = True
        now = timezone.now()
        TaskRun.objects.note(
            self._name,
            served=0,
            finished_at=now,
            failed_at=now,
            error=_text(error),
            failures=F("failures") + 1,
        )


_tallies: dict[str, _Tally] = {}


def _tally_of(name: str) -> _Tally:
    return _tallies.setdefault(name, _Tally(name))


# --- Scheduled tasks ---------------------------------------------------------------------------


def _serve_on_schedule(task: Task) -> None:
    now = timezone.now()
    run = _run_of(task, now)
    if not _is_due(run, now):
        return
    lease = TaskRun.objects.claim(task.name, now, next_run_at=task.next_after(now), lease=LEASE)
    if not lease:
        return
    began = time.monotonic()
    outcome: dict[str, object]
    try:
        with _renewed(task.name, lease):
            served = task.serve()
    except Exception as error:
        logger.exception("Task %r failed", task.name)
        failed_at = timezone.now()
        failures = run.failures + 1
        outcome = {
            "error": _text(error),
            "failed_at": failed_at,
            "failures": failures,
            "next_run_at": min(task.next_after(now), failed_at + lasting(TASK, failures)),
        }
    else:
        if served:
            logger.info("%s: %s served", task.name, served)
        outcome = {
            "error": "",
            "failures": 0,
            "served": served,
            "served_in_all": run.served_in_all + served,
        }
    TaskRun.objects.finish(
        task.name,
        lease,
        finished_at=timezone.now(),
        duration_ms=round((time.monotonic() - began) * 1000),
        **outcome,
    )


def _run_of(task: Task, now: datetime.datetime) -> TaskRun:
    """Returns the task's row. Makes a missing one; sets the next run if the schedule changed."""
    run = TaskRun.objects.filter(pk=task.name).first()
    if run is None:
        first = now if task.at is None else task.next_after(now)
        TaskRun.objects.bulk_create(
            [TaskRun(name=task.name, schedule=task.schedule, next_run_at=first)],
            ignore_conflicts=True,
        )
    elif run.schedule != task.schedule:
        # Count from the last run. During an upgrade both versions of this program run, and must not
        # make the task due again and again.
        last = now if task.at is not None or run.started_at is None else run.started_at
        TaskRun.objects.filter(pk=task.name, schedule=run.schedule).update(
            schedule=task.schedule, next_run_at=task.next_after(last)
        )
    else:
        return run
    return TaskRun.objects.get(pk=task.name)


def _is_due(run: TaskRun, now: datetime.datetime) -> bool:
    if run.leased_until is not None:
        return run.leased_until <= now
    return run.next_run_at is not None and run.next_run_at <= now


@contextlib.contextmanager
def _renewed(name: str, lease: str) -> Iterator[None]:
    """Renews the lease while the task runs: pruning a month may take hours."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(LEASE.total_seconds() / 3):
            try:
                if not TaskRun.objects.renew(name, lease, timezone.now() + LEASE):
                    return
            except Error:
                logger.warning("The lease of task %r could not be renewed", name)
            finally:
                # This thread has its own connection, which it does not need while it sleeps.
                connections.close_all()

    thread = threading.Thread(target=renew, name=f"lease of {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _text(error: Exception) -> str:
    return storable(f"{type(error).__name__}: {error}")[:_ERROR_LENGTH]

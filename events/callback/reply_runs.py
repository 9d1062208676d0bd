"""Runs reply handlers in this process, one run for a row; all tries of its push wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from django.conf import settings
from django.db import connection

from events.db.transactions import release_connection
from events.log.replies.answers import make_answer
from events.log.replies.reply_pool import ReplyPool
from events.models import EventLog

__all__ = ["Listener", "ReplyRun", "pool", "runs"]

pool = ReplyPool(settings.REPLY_HANDLER_THREADS)


class Listener(Protocol):
    """A push that waits for a run."""

    def is_listening(self) -> bool:
        """Whether a reply would still reach WeChat."""
        ...


class ReplyRun:
    """One run of a handler. Its future gets the row, or None if another process was quicker."""

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self.future: Future[EventLog | None] = Future()
        self.listeners: list[Listener] = []
        self.job: Callable[[], None] = lambda: None

    def is_heard(self) -> bool:
        return any(listener.is_listening() for listener in list(self.listeners))


class _Runs:
    """The present runs of this process, at most one for a row."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_row: dict[int, ReplyRun] = {}

    def of(self, row: EventLog) -> ReplyRun | None:
        return self._by_row.get(row.pk)

    def begin(self, listener: Listener, row: EventLog) -> ReplyRun | None:
        """Returns the run of this row's handler, new or present; None if the pool is full."""
        with self._lock:
            if (run := self._by_row.get(row.pk)) is not None:
                return run
            run = self._by_row[row.pk] = ReplyRun(row.account_id)
        # The run asks its listeners when it ends, which may be at once.
        run.listeners.append(listener)
        run.job = partial(self._make, run, row)
        if connection.in_atomic_block:
            # Only a test has a transaction open here; no other thread would see its row.
            run.job()
            return run
        if pool.submit(run.account_id, run.job):
            return run
        self._forget(row)
        # Another try of the push may have joined this run meanwhile: wake it.
        run.future.set_result(None)
        return None

    def withdraw(self, run: ReplyRun) -> bool:
        """Takes back a run that has not begun; returns False if it has."""
        if not pool.withdraw(run.account_id, run.job):
            return False
        with self._lock:
            self._by_row = {pk: other for pk, other in self._by_row.items() if other is not run}
        run.future.set_result(None)
        return True

    def _make(self, run: ReplyRun, row: EventLog) -> None:
        made: EventLog | None = None
        try:
            made = make_answer(row, is_heard=run.is_heard)
        finally:
            self._forget(row)
            release_connection()
            run.future.set_result(made)

    def _forget(self, row: EventLog) -> None:
        with self._lock:
            self._by_row.pop(row.pk, None)


runs = _Runs()

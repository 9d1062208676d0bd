"""Runs reply handlers in threads, shared fairly among the accounts.

An account may take a thread while it holds fewer threads than are free: of sixteen the first
account gets eight, the next four, and so on. So one account finds a thread even if the handlers of
others are slow.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

__all__ = ["ReplyPool"]

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class ReplyPool:
    """Starts up to `threads` daemon threads. For each account the same number of jobs may wait."""

    def __init__(self, threads: int) -> None:
        self._size = threads
        self._changed = threading.Condition()
        self._waiting: OrderedDict[int, deque[Job]] = OrderedDict()
        self._running: Counter[int] = Counter()
        self._threads = 0
        self._idle = 0

    def submit(self, account_id: int, job: Job) -> bool:
        """Queues a job to run when its account may have a thread; False if the queue is full."""
        with self._changed:
            if len(self._waiting.get(account_id, ())) >= self._size:
                return False
            self._waiting.setdefault(account_id, deque()).append(job)
            waiting = sum(map(len, self._waiting.values()))
            if waiting > self._idle and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name="reply handler", daemon=True).start()
            self._changed.notify()
            return True

    def withdraw(self, account_id: int, job: Job) -> bool:
        """Takes a job back; returns False if it has begun."""
        with self._changed:
            try:
                self._waiting.get(account_id, deque()).remove(job)
            except ValueError:
                return False
            self._forget_if_empty(account_id)
            return True

    def has_room(self, account_id: int) -> bool:
        """Whether a job of this account would begin at once."""
        with self._changed:
            return account_id not in self._waiting and self._may_begin(account_id)

    def finish(self, seconds: float) -> None:
        """Drops waiting jobs, and waits up to `seconds` for those that run."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._waiting.clear()
            while self._running.total() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _work(self) -> None:
        while True:
            account_id, job = self._next()
            try:
                job()
            except BaseException:
                # A handler that calls sys.exit() or is cancelled must not end a thread of the pool.
                logger.exception("A reply handler's job failed")
            finally:
                with self._changed:
                    self._running[account_id] -= 1
                    if not self._running[account_id]:
                        del self._running[account_id]
                    self._changed.notify_all()

    def _next(self) -> tuple[int, Job]:
        with self._changed:
            while True:
                for account_id, jobs in self._waiting.items():
                    if self._may_begin(account_id):
                        job = jobs.popleft()
                        # Serve the other accounts before this account's next job.
                        self._waiting.move_to_end(account_id)
                        self._forget_if_empty(account_id)
                        self._running[account_id] += 1
                        return account_id, job
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _may_begin(self, account_id: int) -> bool:
        free = self._size - self._running.total()
        return free > 0 and self._running[account_id] < max(1, free)

    def _forget_if_empty(self, account_id: int) -> None:
        if not self._waiting.get(account_id):
            self._waiting.pop(account_id, None)

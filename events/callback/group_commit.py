"""Stores pushes that arrive at the same time in one transaction.

A commit costs the same for one row as for many, and threads that pass Python's lock to each other
spend more time on that than on their work. So requests that arrive while one batch is written wait,
and form the next batch. There are two forms, which write in the same way:

- `GroupCommit` for threads: the first thread that waits writes for all. Then it appoints the next
  writer, one of the threads that came meanwhile. A single request waits for nobody.
- `LoopCommit` for an event loop: one thread beside the loop writes, and wakes the loop once for
  each batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError
from psycopg.errors import DeadlockDetected, LockNotAvailable

from events.db.transactions import LOCK_TIMEOUT, LOCK_TIMEOUT_OF_ONE

__all__ = ["GroupCommit", "LoopCommit"]

logger = logging.getLogger(__name__)

# All in seconds. A push waits this long for its batch to begin. Together with the limits of the
# transaction this stays below the five seconds that WeChat waits.
_QUEUE_TIMEOUT = 1.5
# Writing a batch takes at most this long: once together, and once row by row.
_WRITE_TIMEOUT = 2 * LOCK_TIMEOUT + 2

_Given = TypeVar("_Given")
_Row = TypeVar("_Row")


class _Pending(Generic[_Given, _Row]):
    """One push that waits, and its outcome: a row, or an error."""

    __slots__ = ("error", "given", "is_new", "row")

    def __init__(self, given: _Given) -> None:
        self.given = given
        self.row: _Row | None = None
        self.is_new: bool | None = None
        self.error: Exception | None = None

    def outcome(self) -> tuple[_Row, bool]:
        if self.error is not None:
            raise self.error
        assert self.row is not None
        assert self.is_new is not None
        return self.row, self.is_new


class _InThread(_Pending[_Given, _Row]):
    """A push whose thread waits. The lock `turn` is released when the thread may go on."""

    __slots__ = ("leads", "taken", "turn")

    def __init__(self, given: _Given) -> None:
        super().__init__(given)
        self.leads = self.taken = False
        self.turn = threading.Lock()
        self.turn.acquire()


class _OnLoop(_Pending[_Given, _Row]):
    __slots__ = ("future", "since")

    def __init__(self, given: _Given, future: asyncio.Future[tuple[_Row, bool]]) -> None:
        super().__init__(given)
        self.future = future
        self.since = time.monotonic()


class _Writer(Generic[_Given, _Row]):
    """Writes a batch in one transaction, or row by row if one row makes the batch fail."""

    def __init__(
        self,
        prepare: Callable[[_Given], _Row],
        deliver: Callable[[Sequence[_Row], float], Sequence[bool]],
    ) -> None:
        self._prepare = prepare
        self._deliver = deliver

    def write(self, batch: Sequence[_Pending[_Given, _Row]]) -> None:
        """Gives each push of the batch its outcome; raises nothing."""
        deadline = time.monotonic() + LOCK_TIMEOUT + 1
        rows = [pending for pending in batch if self._is_prepared(pending)]
        try:
            if rows:
                self._deliver_all(rows, LOCK_TIMEOUT)
        except Exception as error:
            if len(rows) == 1 or _concerns_whole_batch(error):
                for pending in rows:
                    pending.error = error
                return
            logger.warning("%s pushes are stored one by one: %s", len(rows), error)
            for pending in rows:
                try:
                    if time.monotonic() > deadline:
                        raise OperationalError("no time is left to store this push") from error
                    self._deliver_all([pending], LOCK_TIMEOUT_OF_ONE)
                except Exception as own:
                    pending.error = own

    def _is_prepared(self, pending: _Pending[_Given, _Row]) -> bool:
        try:
            pending.row = self._prepare(pending.given)
        except Exception as error:
            pending.error = error
            return False
        return True

    def _deliver_all(self, batch: Sequence[_Pending[_Given, _Row]], lock_timeout: float) -> None:
        rows = [pending.row for pending in batch if pending.row is not None]
        for pending, is_new in zip(batch, self._deliver(rows, lock_timeout), strict=True):
            pending.is_new = is_new


class GroupCommit(Generic[_Given, _Row]):
    """Shares commits among the threads that call store().

    `prepare` makes a row of a given value, usually without I/O. `deliver` stores rows in one
    transaction, waits for locks up to the seconds that it is given, and returns which rows are new.
    It gets up to `batch_size` rows.
    """

    def __init__(
        self,
        prepare: Callable[[_Given], _Row],
        deliver: Callable[[Sequence[_Row], float], Sequence[bool]],
        *,
        batch_size: int,
    ) -> None:
        self._writer = _Writer(prepare, deliver)
        self._batch_size = batch_size
        self._mutex = threading.Lock()
        self._waiting: deque[_InThread[_Given, _Row]] = deque()
        self._has_leader = False

    def store(self, given: _Given) -> tuple[_Row, bool]:
        """Returns the row once it is durable, and whether it is new.

        Raises the error of preparing or storing this row, and OperationalError if its turn did not
        come in time.
        """
        pending: _InThread[_Given, _Row] = _InThread(given)
        with self._mutex:
            self._waiting.append(pending)
            leads_at_once, self._has_leader = not self._has_leader, True
        if leads_at_once:
            pending.leads = True
        else:
            # Wait even if this thread leads by now: its `turn` is released when it becomes leader.
            self._wait(pending)
        if pending.leads:
            self._lead()
        return pending.outcome()

    def _wait(self, pending: _InThread[_Given, _Row]) -> None:
        if pending.turn.acquire(timeout=_QUEUE_TIMEOUT):
            return
        with self._mutex:
            if not pending.taken and not pending.leads:
                self._waiting.remove(pending)
                pending.error = _no_turn()
                return
        # The row is being written, and the limits of the transaction should bound that time. If
        # they do not, the request must still end. After this error the caller looks into the log.
        if not pending.turn.acquire(timeout=_WRITE_TIMEOUT):
            logger.error("The writing thread took over %s seconds for a batch", _WRITE_TIMEOUT)
            pending.error = _no_turn()

    def _lead(self) -> None:
        """Writes one batch, which holds the caller's own row, and appoints the next leader."""
        with self._mutex:
            batch = [
                self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch_size))
            ]
            for pending in batch:
                pending.taken = True
        try:
            self._writer.write(batch)
        finally:
            with self._mutex:
                self._has_leader = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].turn.release()
            for pending in batch:
                if pending.is_new is None and pending.error is None:
                    pending.error = OperationalError("the writing thread was stopped")
                pending.turn.release()


class LoopCommit(Generic[_Given, _Row]):
    """Shares commits among the coroutines of one event loop that await store().

    `prepare`, `deliver` and `batch_size` are as for GroupCommit. `submit` runs a function in the
    thread that writes. That thread calls `release` after an error, and when no push waits any more.
    """

    def __init__(
        self,
        prepare: Callable[[_Given], _Row],
        deliver: Callable[[Sequence[_Row], float], Sequence[bool]],
        *,
        batch_size: int,
        submit: Callable[[Callable[[], None]], object],
        release: Callable[[], None],
    ) -> None:
        self._writer = _Writer(prepare, deliver)
        self._batch_size = batch_size
        self._submit = submit
        self._release = release
        self._mutex = threading.Lock()
        self._waiting: deque[_OnLoop[_Given, _Row]] = deque()
        self._is_writing = False

    def store(self, given: _Given) -> asyncio.Future[tuple[_Row, bool]]:
        """Returns a future of the durable row and whether it is new; fails as GroupCommit does."""
        loop = asyncio.get_running_loop()
        pending: _OnLoop[_Given, _Row] = _OnLoop(given, loop.create_future())
        with self._mutex:
            self._waiting.append(pending)
            must_begin, self._is_writing = not self._is_writing, True
        if must_begin:
            self._submit(lambda: self._write_all(loop))
        return pending.future

    def _write_all(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := self._next():
            in_time_since = time.monotonic() - _QUEUE_TIMEOUT
            try:
                self._writer.write([p for p in batch if p.since >= in_time_since])
            except BaseException:
                # A projection may call sys.exit(). The thread must go on: without it every later
                # push would wait for ever.
                logger.exception("A batch of pushes was not written")
            for pending in batch:
                if pending.is_new is None and pending.error is None:
                    pending.error = _no_turn()
            loop.call_soon_threadsafe(_resolve, batch)
            if any(pending.error is not None for pending in batch):
                self._release_connection()
        self._release_connection()

    def _release_connection(self) -> None:
        try:
            self._release()
        except Exception:
            logger.exception("The writing thread could not give its connection back")

    def _next(self) -> list[_OnLoop[_Given, _Row]]:
        with self._mutex:
            batch = [
                self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch_size))
            ]
            self._is_writing = bool(batch)
            return batch


def _resolve(batch: Sequence[_OnLoop[_Given, _Row]]) -> None:
    for pending in batch:
        # The request was cancelled if its client has gone.
        if pending.future.done():
            continue
        if pending.error is not None:
            pending.future.set_exception(pending.error)
        else:
            pending.future.set_result(pending.outcome())


def _no_turn() -> OperationalError:
    return OperationalError("the push had to wait too long to be written")


def _concerns_whole_batch(error: Exception) -> bool:
    """Whether the error concerns the whole batch, so that its single rows would fail too."""
    if isinstance(error.__cause__, (DeadlockDetected, LockNotAvailable)):
        return False
    return isinstance(error, (OperationalError, InterfaceError))

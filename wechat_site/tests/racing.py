"""Processes that race for the same rows, spawned once for all tests: each takes seconds to begin.

What they do stands in modules that import nothing of Django before `set_up`, and each such function
calls `set_up` first, and `wait_for_others` when it is ready.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.pool import AsyncResult
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import Any

__all__ = ["PROCESSES", "Racers", "set_up", "wait_for_others"]

PROCESSES = 8
# Seconds; only a process that hangs takes so long, however busy the machine is.
LIMIT = 300
# Where nobody listens, for what calls nobody.
_NOWHERE = "http://127.0.0.1:9"

_barriers: dict[int, Barrier] = {}
_start: Barrier | None = None


class Racers:
    """The processes, as a context manager."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        # The test's own process may take part.
        self._barriers = {number: context.Barrier(number) for number in range(2, PROCESSES + 2)}
        self._pool = context.Pool(PROCESSES, _keep, [self._barriers])

    def __enter__(self) -> Racers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.terminate()
        self._pool.join()

    def call(self, work: Callable[..., Any], *arguments: object) -> Any:
        """What `work` returns in one of the processes, without others to wait for."""
        return self._pool.apply_async(_run, (1, work, arguments)).get(timeout=LIMIT)

    def race(self, work: Callable[..., Any], shares: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What `work` returns for each of the shares, begun together by a process for each."""
        return [result.get(timeout=LIMIT) for result in self.begin(work, shares)]

    def begin(
        self,
        work: Callable[..., Any],
        shares: Sequence[tuple[Any, ...]],
        *,
        with_caller: bool = False,
    ) -> list[AsyncResult[Any]]:
        """Begins a race; with the caller, which returns at the moment all begin."""
        parties = len(shares) + with_caller
        self._barriers[parties].reset()
        results = [self._pool.apply_async(_run, (parties, work, share)) for share in shares]
        if with_caller:
            self._barriers[parties].wait(timeout=LIMIT)
        return results


def set_up(database: str, api_base: str = _NOWHERE) -> None:
    """Makes this process one of a site on that database; it remembers nothing of a former one."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.apps import apps
    from django.conf import settings
    from django.test.utils import setup_test_environment

    settings.DATABASES["default"]["NAME"] = database
    settings.WECHAT_API_BASE = api_base
    if not apps.ready:
        from events.db import transactions

        # On a busy machine they wait for each other longer than a push may.
        transactions.LOCK_TIMEOUT = LIMIT
        django.setup()
        setup_test_environment()
    from events import account_cache
    from subscribers.models import seen_scene

    account_cache.forget()
    seen_scene._known.clear()


def wait_for_others() -> None:
    """Returns when all processes of the race are ready."""
    if _start is not None:
        _start.wait(timeout=LIMIT)


def _keep(barriers: dict[int, Barrier]) -> None:
    # Ctrl-C is the test's own affair: a process that it ends while it waits for work takes the
    # queue's lock with it, and the pool could never be closed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _barriers.update(barriers)


def _run(parties: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    global _start
    _start = _barriers.get(parties)
    try:
        return work(*arguments)
    finally:
        _close_connections()


def _close_connections() -> None:
    from django.db import connections

    from events.db import writer_connection

    writer_connection.close()
    connections.close_all()
    for connection in connections.all(initialized_only=True):
        if hasattr(connection, "close_pool"):
            connection.close_pool()

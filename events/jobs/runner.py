"""The loop of `manage.py worker`: runs a table of tasks in threads of one process.

Quick tasks share the caller's thread. Every other task has its own worker threads, which sleep
until the poller wakes them. The poller is one thread that asks the database whether a task has
work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from django.db import close_old_connections, connections

from events.jobs.task import Task, has_work, run_task

__all__ = ["allow_connections", "run_tasks"]

# Seconds that a queue may use the shared thread before the other quick tasks have their turn.
_TURN = 5


def run_tasks(tasks: Sequence[Task], stop: threading.Event) -> None:
    """Runs the tasks until `stop` is set, and then finishes those that are running."""
    workers = [
        _WorkerThread(task, stop)
        for task in tasks
        if not task.quick
        for _number in range(task.threads)
    ]
    poller = threading.Thread(target=_poll, args=(stop, workers), name="poller")
    for thread in (*workers, poller):
        thread.start()
    try:
        _run_quick_tasks([task for task in tasks if task.quick], stop)
    finally:
        stop.set()
        for worker in workers:
            worker.wanted.set()
        for thread in (*workers, poller):
            thread.join()


def allow_connections(tasks: Sequence[Task], *, besides: int = 0) -> None:
    """Enlarges the connection pool for these threads; the setting is for a web server's threads.

    `besides` is the number of the process's other threads that need a connection.
    """
    pool = connections["default"].settings_dict.get("OPTIONS", {}).get("pool")
    if isinstance(pool, dict):
        # Three connections: the caller's, the poller's and one more. A scheduled task may have a
        # second thread, which renews its lease.
        needed = besides + 3 + sum(task.threads + 1 for task in tasks if not task.quick)
        pool["max_size"] = max(pool["max_size"], needed)


class _WorkerThread(threading.Thread):
    """Runs one task whenever it is `wanted`."""

    def __init__(self, task: Task, stop: threading.Event) -> None:
        super().__init__(name=task.name)
        self.task = task
        self.wanted = threading.Event()
        self._stop_work = stop

    def run(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            if self._stop_work.is_set():
                connections.close_all()
                return
            run_task(self.task, self._stop_work)


def _poll(stop: threading.Event, workers: Sequence[_WorkerThread]) -> None:
    tasks = {worker.task.name: worker.task for worker in workers}
    due = dict.fromkeys(tasks, 0.0)
    while not stop.is_set():
        close_old_connections()
        # Check all tasks at the same time, so that the poller takes one connection once a second.
        began = time.monotonic()
        for name, task in tasks.items():
            if stop.is_set() or began < due[name]:
                continue
            if has_work(task):
                for worker in workers:
                    if worker.task is task:
                        worker.wanted.set()
            due[name] = began + task.look_every
        # The connection goes back to the pool while the poller waits.
        close_old_connections()
        _wait_for_next(stop, due)
    connections.close_all()


def _run_quick_tasks(tasks: Sequence[Task], stop: threading.Event) -> None:
    due = {task.name: 0.0 for task in tasks}
    while not stop.is_set():
        for task in tasks:
            if stop.is_set() or time.monotonic() < due[task.name]:
                continue
            run_task(task, stop, at_most=_TURN)
            due[task.name] = time.monotonic() + task.look_every
        _wait_for_next(stop, due)


def _wait_for_next(stop: threading.Event, due: Mapping[str, float]) -> None:
    next_look = min(due.values(), default=time.monotonic() + 1)
    stop.wait(max(0.01, next_look - time.monotonic()))

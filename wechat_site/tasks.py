"""The worker's tasks: what is done in the background, and how often.

The record of what is to be done is always a row, so a killed worker loses nothing and several of
them never do one thing twice. `manage.py worker` serves the tasks in threads of one process; with
a broker, Celery calls the same functions (wechat_site/celery.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db import close_old_connections, connections
from django.utils.translation import gettext_lazy as _

from events.jobs.queues import EventQueue, JobQueue
from events.jobs.task import Task, has_work, run_task
from events.log.process import process_due
from events.log.reply_pool import ReplyPool
from events.menus.publish import look_at_menus, look_regularly, publish_menus
from events.models import LiveMenu, MenuVersion
from events.retention.bodies import empty_bodies
from events.retention.partitions import make_partitions_ahead
from events.retention.prune import prune
from subscribers.binding.bind import end_expired_requests
from subscribers.messages.empty import empty_messages
from subscribers.messages.send import deliver_next, try_again
from subscribers.models import (
    BindingRequest,
    FollowerSync,
    OutgoingMessage,
    QRScene,
    follower_sync,
    outgoing_message,
)
from subscribers.personal_data.requests import erase_due, request_for_unfollowed
from subscribers.qr_codes import fetch_tickets
from subscribers.qr_codes.fetch_tickets import fetch_binding_tickets, fetch_scene_tickets
from subscribers.sync.compare import begin_daily, sync_next
from subscribers.sync.profiles import fetch_profiles

__all__ = ["TASKS", "Task", "make_room_in_pool", "work"]

# For reply handlers under way when the worker is stopped; of longer ones the lease ends.
_LAST_SECONDS = 5
# Seconds that a queue may take in the thread it shares, before the others have their turn.
_TURN = 5

# Reply handlers may be slow, and run apart from the queue.
_reply_pool = ReplyPool(settings.REPLY_HANDLER_THREADS)


def _process_events() -> int:
    return process_due(_reply_pool)


TASKS: Sequence[Task] = (
    Task(
        "events",
        _process_events,
        every=1,
        quick=True,
        queue=EventQueue(),
        title=_("events that failed or were abandoned"),
    ),
    Task(
        "binding requests",
        end_expired_requests,
        every=15,
        quick=True,
        title=_("binding codes that expired"),
    ),
    Task(
        "messages",
        deliver_next,
        every=1,
        queue=JobQueue(OutgoingMessage, outgoing_message.FAILURES, retry=try_again),
        threads=4,
        title=_("messages to followers"),
    ),
    # Somebody is looking at the page, so these do not wait behind a list of campaign codes.
    Task(
        "binding codes",
        fetch_binding_tickets,
        every=1,
        queue=JobQueue(BindingRequest, fetch_tickets.FAILURES),
        title=_("one-time codes to bind with"),
    ),
    Task(
        "QR codes",
        fetch_scene_tickets,
        every=1,
        queue=JobQueue(QRScene, fetch_tickets.FAILURES),
        title=_("QR codes of campaigns"),
    ),
    Task(
        "menus to publish",
        publish_menus,
        every=1,
        queue=JobQueue(MenuVersion),
        title=_("menus to publish"),
    ),
    Task(
        "menus at WeChat",
        look_at_menus,
        every=1,
        queue=JobQueue(LiveMenu),
        title=_("menus to read from WeChat"),
    ),
    Task(
        "menus to compare",
        look_regularly,
        every=60,
        quick=True,
        title=_("comparison of menus with WeChat"),
    ),
    Task(
        "follower sync",
        sync_next,
        every=1,
        queue=JobQueue(FollowerSync, follower_sync.FAILURES),
        title=_("follower syncs"),
    ),
    Task(
        "daily follower syncs",
        begin_daily,
        every=60,
        quick=True,
        title=_("start of the daily follower syncs"),
    ),
    # A call takes a hundred, so it is not made for each newcomer.
    Task("profiles", fetch_profiles, every=15, title=_("profiles of followers")),
    Task(
        "partitions",
        make_partitions_ahead,
        every=3600,
        quick=True,
        title=_("months made ahead in the log"),
    ),
    Task("erasures", erase_due, every=15, title=_("erasures of personal data")),
    Task(
        "erasures of those who left",
        request_for_unfollowed,
        every=3600,
        title=_("erasures of those who unfollowed long ago"),
    ),
    Task("bodies", empty_bodies, every=3600, title=_("bodies of events past their time")),
    Task("texts", empty_messages, every=3600, title=_("texts of messages past their time")),
    # What had to stay the last time has a few more chances each day.
    Task(
        "retention",
        prune,
        every=6 * 3600,
        title=_("months past retention"),
    ),
)


def work(stop: threading.Event, *, tasks: Sequence[Task] = TASKS) -> None:
    """Serves the tasks until stop is set; what is under way then is finished.

    Quick tasks share the caller's thread. The others have threads of their own, which sleep until
    one more, which looks at all their queues, tells them that there is something to do.
    """
    hands = [
        _Hand(task, stop) for task in tasks if not task.quick for _number in range(task.threads)
    ]
    looker = threading.Thread(target=_look, args=(stop, hands), name="looker")
    for thread in (*hands, looker):
        thread.start()
    try:
        _serve(stop, [task for task in tasks if task.quick])
    finally:
        stop.set()
        for hand in hands:
            hand.wanted.set()
        for thread in (*hands, looker):
            thread.join()
        _reply_pool.finish(_LAST_SECONDS)


def make_room_in_pool(tasks: Sequence[Task] = TASKS) -> None:
    """Lets each of work()'s threads have a connection; the setting counts those of a web server."""
    pool = connections["default"].settings_dict.get("OPTIONS", {}).get("pool")
    if isinstance(pool, dict):
        # Besides the caller's and the looker's, a scheduled task may have a thread that renews its
        # lease.
        needed = 3 + sum(task.threads + 1 for task in tasks if not task.quick)
        needed += settings.REPLY_HANDLER_THREADS
        pool["max_size"] = max(pool["max_size"], needed)


class _Hand(threading.Thread):
    """Attends to one task whenever it is `wanted`."""

    def __init__(self, task: Task, stop: threading.Event) -> None:
        super().__init__(name=task.name)
        self.task = task
        self.wanted = threading.Event()
        self._end_of_work = stop

    def run(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            if self._end_of_work.is_set():
                connections.close_all()
                return
            run_task(self.task, self._end_of_work)


def _look(stop: threading.Event, hands: Sequence[_Hand]) -> None:
    tasks = {hand.task.name: hand.task for hand in hands}
    due = dict.fromkeys(tasks, 0.0)
    while not stop.is_set():
        close_old_connections()
        # One time for all, so that they stay together: one connection, once a second.
        began = time.monotonic()
        for name, task in tasks.items():
            if stop.is_set() or began < due[name]:
                continue
            if has_work(task):
                for hand in hands:
                    if hand.task is task:
                        hand.wanted.set()
            due[name] = began + task.look_every
        # Back to the pool while it waits.
        close_old_connections()
        _wait_for_next(stop, due)
    connections.close_all()


def _serve(stop: threading.Event, tasks: Sequence[Task]) -> None:
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

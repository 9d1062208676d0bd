"""The worker's duties: what is done in the background, and how often.

The record of what is to be done is always a row, so a killed worker loses nothing and several of
them never do one thing twice. `manage.py worker` serves the duties in threads of one process; with
a broker, Celery calls the same functions (wechat_site/celery.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from django.db import close_old_connections, connections
from django.utils.translation import gettext_lazy as _

from events.menus import look_at_menus, look_regularly, publish_menus
from events.models import LiveMenu, MenuVersion
from events.partitions import make_partitions_ahead
from events.processing import process_due
from events.queues import EventQueue, WorkQueue
from events.retention import prune
from subscribers import follower_sync, outgoing_message, tickets
from subscribers.binding import end_expired_requests
from subscribers.messages import deliver_next
from subscribers.models import BindingRequest, FollowerSync, OutgoingMessage, QRScene
from subscribers.profiles import fetch_profiles
from subscribers.sync import begin_daily, sync_next
from subscribers.tickets import fetch_binding_tickets, fetch_scene_tickets
from wechat_site.duties import Duty, attend, has_work

__all__ = ["DUTIES", "Duty", "make_room_in_pool", "work"]

# Seconds that a queue may take in the thread it shares, before the others have their turn.
_TURN = 5

DUTIES: Sequence[Duty] = (
    Duty(
        "events",
        process_due,
        every=1,
        quick=True,
        queue=EventQueue(),
        title=_("events that failed or were abandoned"),
    ),
    Duty(
        "binding requests",
        end_expired_requests,
        every=15,
        quick=True,
        title=_("binding codes that expired"),
    ),
    Duty(
        "messages",
        deliver_next,
        every=1,
        queue=WorkQueue(OutgoingMessage, outgoing_message.FAILURES),
        threads=4,
        title=_("messages to followers"),
    ),
    # Somebody is looking at the page, so these do not wait behind a list of campaign codes.
    Duty(
        "binding codes",
        fetch_binding_tickets,
        every=1,
        queue=WorkQueue(BindingRequest, tickets.FAILURES),
        title=_("one-time codes to bind with"),
    ),
    Duty(
        "QR codes",
        fetch_scene_tickets,
        every=1,
        queue=WorkQueue(QRScene, tickets.FAILURES),
        title=_("QR codes of campaigns"),
    ),
    Duty(
        "menus to publish",
        publish_menus,
        every=1,
        queue=WorkQueue(MenuVersion),
        title=_("menus to publish"),
    ),
    Duty(
        "menus at WeChat",
        look_at_menus,
        every=1,
        queue=WorkQueue(LiveMenu),
        title=_("menus to read from WeChat"),
    ),
    Duty(
        "menus to compare",
        look_regularly,
        every=60,
        quick=True,
        title=_("comparison of menus with WeChat"),
    ),
    Duty(
        "follower sync",
        sync_next,
        every=1,
        queue=WorkQueue(FollowerSync, follower_sync.FAILURES),
        title=_("follower syncs"),
    ),
    Duty(
        "daily follower syncs",
        begin_daily,
        every=60,
        quick=True,
        title=_("start of the daily follower syncs"),
    ),
    # A call takes a hundred, so it is not made for each newcomer.
    Duty("profiles", fetch_profiles, every=15, title=_("profiles of followers")),
    Duty(
        "partitions",
        make_partitions_ahead,
        every=3600,
        quick=True,
        title=_("months made ahead in the log"),
    ),
    # What had to stay the last time has a few more chances each day.
    Duty(
        "retention",
        prune,
        every=6 * 3600,
        title=_("months past retention"),
    ),
)


def work(stop: threading.Event, *, duties: Sequence[Duty] = DUTIES) -> None:
    """Serves the duties until stop is set; what is under way then is finished.

    Quick duties share the caller's thread. The others have threads of their own, which sleep until
    one more, which looks at all their queues, tells them that there is something to do.
    """
    hands = [
        _Hand(duty, stop) for duty in duties if not duty.quick for _number in range(duty.threads)
    ]
    looker = threading.Thread(target=_look, args=(stop, hands), name="looker")
    for thread in (*hands, looker):
        thread.start()
    try:
        _serve(stop, [duty for duty in duties if duty.quick])
    finally:
        stop.set()
        for hand in hands:
            hand.wanted.set()
        for thread in (*hands, looker):
            thread.join()


def make_room_in_pool(duties: Sequence[Duty] = DUTIES) -> None:
    """Lets each of work()'s threads have a connection; the setting counts those of a web server."""
    pool = connections["default"].settings_dict.get("OPTIONS", {}).get("pool")
    if isinstance(pool, dict):
        # Besides the caller's and the looker's, a scheduled duty may have a thread that renews its
        # lease.
        needed = 3 + sum(duty.threads + 1 for duty in duties if not duty.quick)
        pool["max_size"] = max(pool["max_size"], needed)


class _Hand(threading.Thread):
    """Attends to one duty whenever it is `wanted`."""

    def __init__(self, duty: Duty, stop: threading.Event) -> None:
        super().__init__(name=duty.name)
        self.duty = duty
        self.wanted = threading.Event()
        self._end_of_work = stop

    def run(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            if self._end_of_work.is_set():
                return
            attend(self.duty, self._end_of_work)


def _look(stop: threading.Event, hands: Sequence[_Hand]) -> None:
    duties = {hand.duty.name: hand.duty for hand in hands}
    due = dict.fromkeys(duties, 0.0)
    while not stop.is_set():
        close_old_connections()
        # One time for all, so that they stay together: one connection, once a second.
        began = time.monotonic()
        for name, duty in duties.items():
            if stop.is_set() or began < due[name]:
                continue
            if has_work(duty):
                for hand in hands:
                    if hand.duty is duty:
                        hand.wanted.set()
            due[name] = began + duty.look_every
        # Back to the pool while it waits.
        close_old_connections()
        _wait_for_next(stop, due)


def _serve(stop: threading.Event, duties: Sequence[Duty]) -> None:
    due = {duty.name: 0.0 for duty in duties}
    while not stop.is_set():
        for duty in duties:
            if stop.is_set() or time.monotonic() < due[duty.name]:
                continue
            attend(duty, stop, at_most=_TURN)
            due[duty.name] = time.monotonic() + duty.look_every
        _wait_for_next(stop, due)


def _wait_for_next(stop: threading.Event, due: Mapping[str, float]) -> None:
    next_look = min(due.values(), default=time.monotonic() + 1)
    stop.wait(max(0.01, next_look - time.monotonic()))

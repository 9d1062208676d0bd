"""A process of the web server, as granian loads it: the front, and the pages behind it."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from wechat_site.serving.parent import end_with_parent

# This comes before everything that takes time, because the parent may end meanwhile. And granian
# sets the process's own signal handlers only after this import. Until then the process has its
# parent's handlers, which would lose a signal to stop, and the process would never end.
if (_parent := multiprocessing.parent_process()) is not None and _parent.pid is not None:
    end_with_parent(_parent.pid)
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, signal.SIG_DFL)

from wechat_site.wsgi import application as pages  # isort: skip

# Only now are the settings loaded that these modules read.
from django.conf import settings  # isort: skip
from django.db import connections  # isort: skip
from django.urls import reverse  # isort: skip
from events.alerts.guard import guard_always  # isort: skip
from events.callback.front import CallbackFront  # isort: skip
from events.callback.refusals import store_always  # isort: skip
from events.db.transactions import release_connection  # isort: skip
from wechat_site.live.front import LiveFront  # isort: skip
from wechat_site.serving.cpu_affinity import stay_on_one_processor  # isort: skip
from wechat_site.serving.pages import Pages  # isort: skip

__all__ = ["application"]

# Threads that query the database for pushes that are not simply stored: duplicates, slow replies.
_ASKING = 4


class _Threads:
    """The front's threads: one writes to the database, some query it."""

    def __init__(self) -> None:
        self._to_write: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._asking = ThreadPoolExecutor(_ASKING, thread_name_prefix="ask")
        threading.Thread(target=self._write, name="writer", daemon=True).start()

    def write(self, function: Callable[[], None], /) -> None:
        self._to_write.put(function)

    def ask(self, function: Callable[[], None], /) -> None:
        self._asking.submit(function)

    def _write(self) -> None:
        while True:
            self._to_write.get()()

    release = staticmethod(release_connection)


def _make_room_in_pool() -> None:
    """Enlarges the pool, so that reply handlers take no connections from the receiving threads."""
    pool = connections["default"].settings_dict.get("OPTIONS", {}).get("pool")
    if isinstance(pool, dict):
        pool["max_size"] += settings.REPLY_HANDLER_THREADS


_processor = stay_on_one_processor()
_make_room_in_pool()
store_always()
guard_always()
_threads = _Threads()
_pages = Pages(
    pages,
    threads=settings.PAGE_THREADS,
    anonymous_body=settings.PAGE_MAX_BODY_OF_STRANGERS,
    largest_body=settings.PAGE_MAX_BODY,
    session_cookie=settings.SESSION_COOKIE_NAME,
    sign_in=reverse("account_login"),
)
application = CallbackFront(LiveFront(_pages, _threads), _threads)

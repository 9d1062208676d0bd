"""The command `worker`: runs the background tasks."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from events.jobs.runner import allow_connections, run_tasks
from wechat_site.serving.parent import end_with_parent
from wechat_site.serving.stop_signals import on_signals
from wechat_site.tasks import TASKS, finish_replies

# The callback comes before the worker's tasks, because WeChat waits at most five seconds.
_NICENESS = 5


class Command(BaseCommand):
    help = (
        "Runs the background tasks: events that failed or were abandoned, messages to followers, "
        "QR codes, menus, follower syncs. Any number may run; SIGTERM and Ctrl-C let a worker "
        "finish what is under way."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        end_with_parent()
        os.nice(_NICENESS)
        stop = threading.Event()
        on_signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set})
        allow_connections(TASKS, besides=settings.REPLY_HANDLER_THREADS)
        run_tasks(TASKS, stop)
        finish_replies()

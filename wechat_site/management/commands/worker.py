from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from wechat_site.serving.parent import end_with_parent
from wechat_site.tasks import make_room_in_pool, work


class Command(BaseCommand):
    help = (
        "Serves what is to be done in the background: events that failed or were abandoned, "
        "messages to followers, binding codes that expired. Any number may run; SIGTERM and Ctrl-C "
        "let what is under way finish."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        end_with_parent()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        make_room_in_pool()
        work(stop)

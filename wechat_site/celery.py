"""The worker's tasks as Celery tasks, for sites that outgrow `manage.py worker`.

    celery -A wechat_site worker
    celery -A wechat_site beat

The broker, CELERY_BROKER_URL, holds only messages that ask whether a task has work. The record of
every task is in the database, and each message calls the same function as the worker. So no work is
lost if the broker loses messages, and a message too many does nothing. docs/workers.md has the
commands in full.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import django
from celery import Celery
from kombu.entity import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
django.setup()

# Models can be imported only after django.setup().
from django.conf import settings  # noqa: E402

from events.jobs.task import Task, run_task  # noqa: E402
from wechat_site.tasks import TASKS  # noqa: E402

__all__ = ["app"]

# Seconds after which a Celery task ends, so that a long queue does not keep other tasks waiting.
_LONGEST_LOOK = 20
# Seconds after which a message that no worker took expires, since newer messages follow.
_STALE_AFTER = 30

app = Celery("wechat_site")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL or None,
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    # Slow tasks have a queue of their own. A worker without -Q takes from both.
    task_queues=[Queue("quick"), Queue("slow")],  # type: ignore[no-untyped-call]
    task_default_queue="quick",
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    timezone=settings.TIME_ZONE,
)


def _look_at(task: Task) -> Callable[[], None]:
    def look() -> None:
        run_task(task, threading.Event(), at_most=_LONGEST_LOOK)

    return look


for _task in TASKS:
    _name = f"wechat_site.{_task.name}".replace(" ", "_")
    app.task(_look_at(_task), name=_name)
    app.conf.beat_schedule[_task.name] = {
        "task": _name,
        "schedule": max(1.0, _task.look_every),
        "options": {
            "queue": "quick" if _task.quick else "slow",
            "expires": _STALE_AFTER,
        },
    }

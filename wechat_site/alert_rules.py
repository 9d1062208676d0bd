"""Tells of queues that no worker empties, though one runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from events.alerts.rules import Condition, sees
from events.models import Alert, AlertMessage
from wechat_site.tasks import TASKS

__all__: list[str] = []

_MINUTE = datetime.timedelta(minutes=1)
_LATE, _DOWN = 10 * _MINUTE, 60 * _MINUTE


@sees("queue")
def _stuck_queues(now: datetime.datetime) -> Iterable[Condition]:
    """One condition for all queues, of the one whose row has been due for longest.

    But for the messages of alerts: if they wait, this one would too.
    """
    due = [
        (since, task.name)
        for task in TASKS
        if task.queue is not None
        and task.queue.model is not AlertMessage
        and (since := task.queue.due_since(now)) is not None
    ]
    if not due:
        return
    since, name = min(due)
    if now - since >= _LATE:
        level = Alert.Level.DOWN if now - since >= _DOWN else Alert.Level.LATE
        details: dict[str, str | int] = {"minutes": int((now - since) / _MINUTE), "queue": name}
        yield Condition("queue", level, None, details)

"""The alerts for queues that stand still although a worker runs, and for webhooks that fail."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from events.alerts.rules import Condition, sees
from events.limits import Limits
from events.models import Alert, AlertMessage
from subscribers.models import WebhookDelivery, WebhookEndpoint
from wechat_site.tasks import TASKS

__all__: list[str] = []

_MINUTE = datetime.timedelta(minutes=1)


@sees("queue")
def _stuck_queues(now: datetime.datetime) -> Iterable[Condition]:
    """One condition for all queues, about the queue whose row has been due for longest.

    It leaves out the messages of alerts: if those wait, the message of this alert would wait too.
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
    limits = Limits()
    if now - since >= limits.of("queue_late") * _MINUTE:
        is_down = now - since >= limits.of("queue_down") * _MINUTE
        level = Alert.Level.DOWN if is_down else Alert.Level.LATE
        details: dict[str, str | int] = {"minutes": int((now - since) / _MINUTE), "queue": name}
        yield Condition("queue", level, None, details)


@sees("webhook")
def _paused_webhooks(now: datetime.datetime) -> Iterable[Condition]:
    """One condition for each account, about the webhook that has failed for longest."""
    told: set[int] = set()
    paused = WebhookEndpoint.objects.filter(is_active=True, paused_at__isnull=False)
    for endpoint in paused.order_by("failing_since").defer("secret", "previous_secret"):
        if endpoint.account_id in told or endpoint.failing_since is None:
            continue
        told.add(endpoint.account_id)
        held = endpoint.deliveries.filter(state=WebhookDelivery.State.HELD)
        details: dict[str, str | int] = {
            "host": endpoint.host,
            "hours": int((now - endpoint.failing_since) / (60 * _MINUTE)),
            "held": held.order_by()[:100_000].count(),
        }
        yield Condition("webhook", Alert.Level.DOWN, endpoint.account_id, details)
    gone = WebhookEndpoint.objects.filter(stopped_because=WebhookEndpoint.Stopped.GONE)
    for endpoint in gone.defer("secret", "previous_secret"):
        if endpoint.account_id not in told:
            told.add(endpoint.account_id)
            yield Condition(
                "webhook", Alert.Level.LATE, endpoint.account_id, {"host": endpoint.host}
            )

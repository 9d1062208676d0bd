"""Shows messages of webhooks in the copy of a person's data, and removes them at an erasure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from events.log.retention_hooks import on_erasure
from events.models import OfficialAccount
from events.retention.erase import KINDS_WITH_TWO_PEOPLE
from subscribers.models import WebhookDelivery, WebhookMessage, WebhookPosition
from subscribers.personal_data.collect import personal_data

__all__ = ["forget_old_messages"]

_BATCH = 2000


@personal_data("webhook_messages")
def _messages(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    rows = WebhookMessage.objects.filter(account=account, openid=openid).order_by("pk")
    for message in rows.iterator(chunk_size=500):
        told = message.deliveries.select_related("endpoint").order_by("pk")
        yield {
            "type": message.type,
            "created_at": message.created_at.astimezone(datetime.UTC).isoformat(),
            "payload": message.body,
            "told": [delivery.endpoint.host for delivery in told],
        }


@on_erasure
def _erase(account_id: int, openid: str, pseudonym: str) -> None:
    """Removes the person's messages with their deliveries and the answers to them."""
    # With this lock, nobody writes new messages from the person's events meanwhile.
    list(WebhookPosition.objects.select_for_update())
    ours = WebhookMessage.objects.filter(account=account_id)
    _remove(ours.filter(openid=openid))
    _remove(ours.filter(type__in=KINDS_WITH_TWO_PEOPLE, body__contains=openid))


def forget_old_messages() -> int:
    """Removes up to a batch of messages past WEBHOOK_ or EVENT_BODY_RETENTION_DAYS."""
    days = min(settings.WEBHOOK_RETENTION_DAYS, settings.EVENT_BODY_RETENTION_DAYS or 36500)
    old = WebhookMessage.objects.filter(created_at__lt=timezone.now() - datetime.timedelta(days))
    chosen = list(old.order_by("created_at").values_list("pk", flat=True)[:_BATCH])
    _remove(WebhookMessage.objects.filter(pk__in=chosen))
    return len(chosen)


def _remove(messages: QuerySet[WebhookMessage]) -> None:
    with transaction.atomic():
        # Django deletes attempts before deliveries. Meanwhile the worker may note another attempt.
        WebhookDelivery.objects.filter(message__in=messages).lock()
        messages.delete()

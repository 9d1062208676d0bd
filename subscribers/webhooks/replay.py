"""Sends deliveries again: single ones, failed ones, or those of a span of time; sends tests."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events.models.job import JobQuerySet
from subscribers.models import WebhookDelivery, WebhookEndpoint
from subscribers.webhooks import payload
from subscribers.webhooks.write import deliveries_of

__all__ = ["chosen", "send_again", "send_test"]

_State = WebhookDelivery.State


def chosen(
    endpoint: WebhookEndpoint,
    *,
    ids: list[int] | None = None,
    begin: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
    with_successes: bool = False,
) -> JobQuerySet[WebhookDelivery]:
    """An endpoint's deliveries with these ids, or its failed ones created from `begin` until `end`.

    `with_successes` adds those that arrived. Ids choose deliveries in any state.
    """
    rows = WebhookDelivery.objects.filter(endpoint=endpoint)
    if ids is not None:
        return rows.filter(pk__in=ids)
    states = [_State.FAILED, _State.SENT] if with_successes else [_State.FAILED]
    rows = rows.filter(state__in=states)
    if begin is not None:
        rows = rows.filter(created_at__gte=begin)
    return rows if end is None else rows.filter(created_at__lt=end)


def send_again(deliveries: JobQuerySet[WebhookDelivery], now: datetime.datetime) -> int:
    """Makes deliveries due again with their full number of attempts; returns how many.

    It leaves out those that a worker has claimed. If the endpoint is paused or off, the deliveries
    are held until it is back.
    """
    ours = WebhookDelivery.objects.filter(pk__in=deliveries.values("pk"))
    free = ours.filter(Q(lease="") | Q(leased_until__lte=now)).exclude(state=_State.HELD)
    again = {"attempts": 0, "lease": "", "leased_until": None, "failure": "", "failure_text": ""}
    # No join, so that each UPDATE itself checks whether a delivery is free: a worker may claim it
    # meanwhile.
    on = WebhookEndpoint.objects.filter(is_active=True, paused_at=None).values("pk")
    with transaction.atomic():
        number = free.exclude(endpoint__in=on).update(state=_State.HELD, due_at=None, **again)
        here = free.filter(endpoint__in=on)
        return number + here.update(state=_State.WAITING, due_at=now, **again)


def send_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Queues a message of the type `webhook.test` for one endpoint."""
    now = timezone.now()
    message = payload.of_test(endpoint.account, now)
    with transaction.atomic():
        message.save()
        [delivery] = deliveries_of(message, [endpoint], now)
        delivery.save()
    return delivery

"""How an endpoint stands: it takes messages, fails, is paused, comes back, or is gone.

A failing endpoint is left alone for a while, so that it holds up no other one. After an hour of
failures it is paused: its deliveries are held and use up none of their tries, and every few minutes
one of them tries whether it is back. Then all of them are due.
"""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from events.delays import WEBHOOK_ENDPOINT, lasting
from subscribers.models import WebhookDelivery, WebhookEndpoint

__all__ = ["FAILING", "hold", "note_failures", "note_success", "release", "stop", "sweep"]

# Failures in a row after which an endpoint is left alone for a while.
FAILING = 5
_PAUSED_AFTER = datetime.timedelta(hours=1)

_State = WebhookDelivery.State
# All that waits is due at some time, as the index of what is due knows: an endpoint may have
# millions of deliveries that are not.
_WAITING = {"state": _State.WAITING, "due_at__isnull": False, "lease": ""}
_WORKS = {"failures": 0, "failing_since": None, "retry_at": None, "paused_at": None}


def note_success(endpoint: WebhookEndpoint) -> None:
    """It took a message: whatever was wrong is over, and what was held is due."""
    if endpoint.failures or endpoint.paused_at is not None:
        this = WebhookEndpoint.objects.filter(pk=endpoint.pk)
        this.exclude(failures=0, paused_at=None).update(**_WORKS)
        release(this)


def note_failures(endpoint: WebhookEndpoint, number: int, now: datetime.datetime) -> None:
    """So many attempts failed and none succeeded."""
    with transaction.atomic():
        current = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        current.failures += number
        current.failing_since = current.failing_since or now
        if current.failures >= FAILING:
            current.retry_at = now + lasting(WEBHOOK_ENDPOINT, current.failures - FAILING + 1)
            if now - current.failing_since >= _PAUSED_AFTER and current.paused_at is None:
                current.paused_at = now
        _save(current)
        if not current.is_told_now:
            hold(current)


def stop(endpoint: WebhookEndpoint, why: WebhookEndpoint.Stopped) -> None:
    """Turns it off for good, until a person turns it on again."""
    with transaction.atomic():
        current = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        current.is_active = False
        current.stopped_because = why
        _save(current)
        hold(current)


def hold(endpoint: WebhookEndpoint) -> None:
    """Holds what waits, but for what a worker has in its hands."""
    waiting = endpoint.deliveries.filter(**_WAITING)
    waiting.update(state=_State.HELD, due_at=None)


def release(endpoints: QuerySet[WebhookEndpoint], now: datetime.datetime | None = None) -> int:
    """Makes due what is held of endpoints that are told now; returns how many deliveries."""
    told = endpoints.filter(is_active=True, paused_at=None)
    held = WebhookDelivery.objects.filter(state=_State.HELD, endpoint__in=told.values("pk"))
    if not held.exists():
        return 0
    return held.update(state=_State.WAITING, due_at=now or timezone.now(), attempts=0)


def sweep(now: datetime.datetime) -> int:
    """Wakes paused endpoints, and sets right what was written while an endpoint changed.

    Returns how many deliveries are due by it.
    """
    off = WebhookDelivery.objects.filter(endpoint__is_active=False, **_WAITING)
    left = list(off.values_list("pk", flat=True)[:1000])
    if left:
        WebhookDelivery.objects.filter(pk__in=left, lease="").update(state=_State.HELD, due_at=None)
    return release(WebhookEndpoint.objects.all(), now) + _wake_paused(now)


def _wake_paused(now: datetime.datetime) -> int:
    """Lets one held delivery of each paused endpoint try whether it is back; returns how many."""
    woken = 0
    paused = WebhookEndpoint.objects.filter(is_active=True, paused_at__isnull=False)
    is_time = Q(retry_at=None) | Q(retry_at__lte=now)
    for pk in list(paused.filter(is_time).values_list("pk", flat=True)):
        again = now + WEBHOOK_ENDPOINT[-1]
        if not paused.filter(is_time, pk=pk).update(retry_at=again):
            continue  # another worker does it
        held = WebhookDelivery.objects.filter(endpoint=pk, state=_State.HELD)
        oldest = held.order_by("pk").values_list("pk", flat=True).first()
        if oldest is None:
            # Nothing to try with: the next message will show it.
            paused.filter(pk=pk).update(**_WORKS)
        else:
            woken += held.filter(pk=oldest).update(state=_State.WAITING, due_at=now)
    return woken


def _save(endpoint: WebhookEndpoint) -> None:
    """By update(), since this is no act of a person that the audit list has."""
    names = ("failures", "failing_since", "retry_at", "paused_at", "is_active", "stopped_because")
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        **{name: getattr(endpoint, name) for name in names}
    )

"""Keeps the state of endpoints: an endpoint works, fails, is paused, comes back, or is gone.

The worker leaves a failing endpoint alone for a while, so that it does not hold up others. After an
hour of failures the endpoint is paused: its deliveries are held and use up no attempts, and every
few minutes one of them tests whether the endpoint is back. If it is, all of them are due.
"""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from events.delays import WEBHOOK_ENDPOINT, lasting
from subscribers.models import WebhookDelivery, WebhookEndpoint

__all__ = ["FAILING", "hold", "note_failures", "note_success", "release", "stop", "sweep"]

# After this many failures in a row, the worker leaves an endpoint alone for a while.
FAILING = 5
_PAUSED_AFTER = datetime.timedelta(hours=1)

_State = WebhookDelivery.State
# `due_at__isnull` lets the database use the index of due deliveries: an endpoint may have millions
# of others.
_WAITING = {"state": _State.WAITING, "due_at__isnull": False, "lease": ""}
_WORKS = {"failures": 0, "failing_since": None, "retry_at": None, "paused_at": None}


def note_success(endpoint: WebhookEndpoint) -> None:
    """Notes that the endpoint took a message: ends its failures and makes held deliveries due."""
    if endpoint.failures or endpoint.paused_at is not None:
        this = WebhookEndpoint.objects.filter(pk=endpoint.pk)
        this.exclude(failures=0, paused_at=None).update(**_WORKS)
        release(this)


def note_failures(endpoint: WebhookEndpoint, number: int, now: datetime.datetime) -> None:
    """Notes that `number` attempts failed and none succeeded."""
    with transaction.atomic():
        current = _locked(endpoint)
        if current is None:
            return
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
    """Turns the endpoint off until a user turns it on again."""
    with transaction.atomic():
        current = _locked(endpoint)
        if current is None:
            return
        current.is_active = False
        current.stopped_because = why
        _save(current)
        hold(current)


def _locked(endpoint: WebhookEndpoint) -> WebhookEndpoint | None:
    """The endpoint's row as it is now, locked; None if a user has deleted it."""
    return WebhookEndpoint.objects.select_for_update().filter(pk=endpoint.pk).first()


def hold(endpoint: WebhookEndpoint) -> None:
    """Holds the deliveries that wait, except those that a worker has claimed."""
    waiting = endpoint.deliveries.filter(**_WAITING)
    waiting.update(state=_State.HELD, due_at=None)


def release(endpoints: QuerySet[WebhookEndpoint], now: datetime.datetime | None = None) -> int:
    """Makes held deliveries due if their endpoints get messages now; returns how many."""
    told = endpoints.filter(is_active=True, paused_at=None)
    held = WebhookDelivery.objects.filter(state=_State.HELD, endpoint__in=told.values("pk"))
    if not held.exists():
        return 0
    return held.update(state=_State.WAITING, due_at=now or timezone.now(), attempts=0)


def sweep(now: datetime.datetime) -> int:
    """Tests paused endpoints, and corrects deliveries that were written while an endpoint changed.

    Returns how many deliveries this makes due.
    """
    off = WebhookDelivery.objects.filter(endpoint__is_active=False, **_WAITING)
    left = list(off.values_list("pk", flat=True)[:1000])
    if left:
        # Checks the condition again: a worker may have sent some since the SELECT.
        held = WebhookDelivery.objects.filter(pk__in=left, **_WAITING)
        held.update(state=_State.HELD, due_at=None)
    return release(WebhookEndpoint.objects.all(), now) + _wake_paused(now)


def _wake_paused(now: datetime.datetime) -> int:
    """Makes one held delivery of each paused endpoint due, as a test; returns how many."""
    woken = 0
    paused = WebhookEndpoint.objects.filter(is_active=True, paused_at__isnull=False)
    is_time = Q(retry_at=None) | Q(retry_at__lte=now)
    for pk in list(paused.filter(is_time).values_list("pk", flat=True)):
        again = now + WEBHOOK_ENDPOINT[-1]
        if not paused.filter(is_time, pk=pk).update(retry_at=again):
            continue  # another worker tests this endpoint
        held = WebhookDelivery.objects.filter(endpoint=pk, state=_State.HELD)
        oldest = held.order_by("pk").values_list("pk", flat=True).first()
        if oldest is None:
            # No delivery to test with: the next message will show whether the endpoint works.
            paused.filter(pk=pk).update(**_WORKS)
        else:
            woken += held.filter(pk=oldest).update(state=_State.WAITING, due_at=now)
    return woken


def _save(endpoint: WebhookEndpoint) -> None:
    """Saves by update(), which the audit list does not record: no user did this."""
    names = ("failures", "failing_since", "retry_at", "paused_at", "is_active", "stopped_because")
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        **{name: getattr(endpoint, name) for name in names}
    )

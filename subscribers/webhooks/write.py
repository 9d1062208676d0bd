"""Writes messages and deliveries for webhooks, from new events and changes; the worker sends them.

The callback has no work with webhooks: events are read from the log later, in the order of their
ids and only as far as the log is settled (events/log/settled.py). One row holds the position. It
moves in the transaction that writes the deliveries, so a killed worker loses nothing and writes
nothing twice. Changes that are no events come from the outbox, which triggers fill.
"""

from __future__ import annotations

import datetime
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from django.db import connection, transaction
from django.utils import timezone

from events.log.settled import Unsettled, settled_upper_bound
from events.models import EventLog, with_account
from subscribers.models import (
    Binding,
    OutgoingMessage,
    QRScene,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLateEvent,
    WebhookMessage,
    WebhookOutbox,
    WebhookPosition,
)
from subscribers.webhooks import payload
from subscribers.webhooks.endpoint_standing import sweep
from subscribers.webhooks.event_types import types_of, wants
from subscribers.webhooks.pace import paced

__all__ = ["deliveries_of", "write_messages"]

_Endpoints = Mapping[int, list[WebhookEndpoint]]

_BATCH = 100
# How many rows of the log are read at once, to find the events that an endpoint wants.
_ROWS_AT_ONCE = 500
# Seconds of one turn.
_TURN = 1.0
# How long, and how often, the worker looks again at an event that is not folded yet.
_LATE_FOR = datetime.timedelta(days=30)
_LATE_EVERY = datetime.timedelta(seconds=5)
# A binding older than this that enters the table came from a backup, so webhooks do not get it.
_NEWS_WITHIN = datetime.timedelta(days=1)


def write_messages() -> int:
    """Writes deliveries of new events and changes, for about a second; returns how many."""
    until = time.monotonic() + _TURN
    written = 0
    while True:
        with paced():
            there_is_more, number = _write_events()
        written += number
        if not there_is_more or time.monotonic() > until:
            break
    written += _write_late_events() + _write_noted()
    sweep(timezone.now())
    return written


# --- The log -------------------------------------------------------------------------------------


def _write_events() -> tuple[bool, int]:
    """Reads a batch of the log; returns whether there is more, and how many deliveries it made."""
    position = WebhookPosition.objects.first()
    if position is None:
        return False, 0
    try:
        bound = settled_upper_bound()
    except Unsettled:
        return False, 0
    if bound <= position.event_id:
        return False, 0
    # Read after the bound: an endpoint that is made from now on gets none of these events.
    endpoints = _endpoints()
    if not endpoints:
        return False, _move(position, bound, [])
    found = list(
        EventLog.objects.filter(pk__gt=position.event_id, pk__lte=bound)
        .order_by("pk")
        .values_list("pk", "account_id", "kind", "folded_at", "is_carried_over")[:_ROWS_AT_ONCE]
    )
    reached = found[-1][0] if len(found) == _ROWS_AT_ONCE else bound
    told: list[int] = []
    late: list[int] = []
    for pk, account_id, kind, folded_at, is_carried_over in found:
        if is_carried_over:
            continue  # it was restored from an archive
        if folded_at is None:
            if account_id in endpoints:
                late.append(pk)
        elif _wanted(endpoints.get(account_id, ()), kind, pk):
            told.append(pk)
        if len(told) == _BATCH:
            reached = pk
            break
    return reached < bound, _move(position, reached, told, late, endpoints)


def _move(
    position: WebhookPosition,
    reached: int,
    told: Sequence[int],
    late: Sequence[int] = (),
    endpoints: _Endpoints | None = None,
) -> int:
    """Moves the position and writes the deliveries of what it passed, unless another worker did."""
    events = _read(told)
    made = _messages_of(events, endpoints or {})
    with transaction.atomic():
        here = WebhookPosition.objects.filter(pk=position.pk, event_id=position.event_id)
        if not here.update(event_id=reached) or not _still_hold(events):
            # Another worker was quicker, or a person was erased: the next turn reads anew.
            transaction.set_rollback(True)
            return 0
        if late:
            now = timezone.now()
            WebhookLateEvent.objects.bulk_create(
                [WebhookLateEvent(event_id=pk, looked_at=now) for pk in late],
                ignore_conflicts=True,
            )
        return _store(made)


def _write_late_events() -> int:
    """Writes deliveries of events that were folded after the log was read."""
    now = timezone.now()
    waiting = WebhookLateEvent.objects.filter(looked_at__lt=now - _LATE_EVERY)
    ids = list(waiting.order_by("looked_at").values_list("event_id", flat=True)[:_BATCH])
    if not ids:
        return 0
    folded = list(
        EventLog.objects.filter(pk__in=ids, folded_at__isnull=False).values_list("pk", flat=True)
    )
    events = _read(folded)
    made = _messages_of(events, _endpoints())
    ours = WebhookLateEvent.objects.filter(event_id__in=ids)
    with transaction.atomic():
        position = WebhookPosition.objects.select_for_update().first()
        present = set(ours.values_list("event_id", flat=True))
        if position is None or not present.issuperset(folded) or not _still_hold(events):
            return 0
        ours.filter(event_id__in=folded).delete()
        too_old = EventLog.objects.filter(pk__in=ids, received_at__lt=now - _LATE_FOR)
        there = set(EventLog.objects.filter(pk__in=ids).values_list("pk", flat=True))
        gone = (set(ids) - there) | set(too_old.values_list("pk", flat=True))
        ours.filter(event_id__in=gone).delete()
        ours.update(looked_at=now)
        return _store(made)


def _read(ids: Sequence[int]) -> list[EventLog]:
    if not ids:
        return []
    return list(with_account(EventLog.objects.filter(pk__in=ids)).order_by("pk"))


def _still_hold(events: Sequence[EventLog]) -> bool:
    """Whether no erasure has changed the events. Call it with the position locked."""
    read = {(event.pk, event.openid, event.body_removed_at) for event in events}
    stored = EventLog.objects.filter(pk__in=[pk for pk, *_rest in read])
    return not read or set(stored.values_list("pk", "openid", "body_removed_at")) == read


def _messages_of(
    events: Iterable[EventLog], endpoints: _Endpoints
) -> list[tuple[WebhookMessage, list[WebhookEndpoint]]]:
    made = []
    for event in events:
        for type_ in types_of(event.kind):
            told = [
                endpoint
                for endpoint in endpoints.get(event.account_id, ())
                if wants(endpoint.types, type_) and endpoint.after_event_id < event.pk
            ]
            if told:
                made.append((payload.of_event(event, type_), told))
    return made


def _wanted(endpoints: Iterable[WebhookEndpoint], kind: str, pk: int) -> bool:
    types = types_of(kind)
    return any(
        endpoint.after_event_id < pk and any(wants(endpoint.types, type_) for type_ in types)
        for endpoint in endpoints
    )


# --- The outbox ----------------------------------------------------------------------------------


def _write_noted() -> int:
    written = 0
    while True:
        noted, number = _write_noted_batch()
        written += number
        if noted < _BATCH:
            return written


def _write_noted_batch() -> tuple[int, int]:
    if not WebhookOutbox.objects.exists():
        return 0, 0
    with transaction.atomic():
        # An erasure takes this lock too.
        list(WebhookPosition.objects.select_for_update())
        rows = list(
            WebhookOutbox.objects.select_for_update(skip_locked=_can_skip()).order_by("pk")[:_BATCH]
        )
        endpoints = _endpoints()
        made = []
        for row in rows:
            found = _READERS[row.type](row)
            if found is not None:
                told = [e for e in endpoints.get(found.account_id, ()) if row.type in e.types]
                made += [(found, told)] if told else []
        WebhookOutbox.objects.filter(pk__in=[row.pk for row in rows]).delete()
        return len(rows), _store(made)


def _can_skip() -> bool:
    return bool(connection.features.has_select_for_update_skip_locked)


def _binding(row: WebhookOutbox) -> WebhookMessage | None:
    binding = (
        with_account(Binding.objects.select_related("subscriber", "user"))
        .filter(pk=row.object_id)
        .first()
    )
    if binding is None:
        return None
    is_new = row.type == "binding.created"
    at = binding.bound_at if is_new else binding.unbound_at
    if at is None or row.at - at > _NEWS_WITHIN:
        return None
    return payload.of_binding(binding, row.type, at)


def _failed_message(row: WebhookOutbox) -> WebhookMessage | None:
    messages = with_account(OutgoingMessage.objects.select_related("subscriber"))
    message = messages.filter(pk=row.object_id).first()
    return None if message is None else payload.of_message(message, row.type, row.at)


def _scene(row: WebhookOutbox) -> WebhookMessage | None:
    scene = with_account(QRScene.objects.filter(pk=row.object_id)).first()
    return None if scene is None else payload.of_scene(scene, row.type, row.at)


_READERS: Mapping[str, Callable[[WebhookOutbox], WebhookMessage | None]] = {
    "binding.created": _binding,
    "binding.ended": _binding,
    "message.failed": _failed_message,
    "scene.ready": _scene,
}


# --- Deliveries ----------------------------------------------------------------------------------


def _endpoints() -> dict[int, list[WebhookEndpoint]]:
    """The active endpoints by account, without their secrets."""
    by_account = defaultdict(list)
    active = WebhookEndpoint.objects.filter(is_active=True).defer("secret", "previous_secret")
    for endpoint in active.order_by("pk"):
        by_account[endpoint.account_id].append(endpoint)
    return dict(by_account)


def deliveries_of(
    message: WebhookMessage, endpoints: Iterable[WebhookEndpoint], now: datetime.datetime
) -> list[WebhookDelivery]:
    """Unsaved deliveries of a message: due at once, or held until their endpoint is back."""
    states = WebhookDelivery.State
    return [
        WebhookDelivery(
            account_id=message.account_id,
            endpoint=endpoint,
            message=message,
            created_at=now,
            state=states.WAITING if endpoint.is_told_now else states.HELD,
            due_at=now if endpoint.is_told_now else None,
        )
        for endpoint in endpoints
    ]


def _store(made: Sequence[tuple[WebhookMessage, list[WebhookEndpoint]]]) -> int:
    if not made:
        return 0
    now = timezone.now()
    for message, _told in made:
        message.created_at = now
    WebhookMessage.objects.bulk_create([message for message, _told in made])
    deliveries = [
        delivery for message, told in made for delivery in deliveries_of(message, told, now)
    ]
    WebhookDelivery.objects.bulk_create(deliveries)
    return len(deliveries)

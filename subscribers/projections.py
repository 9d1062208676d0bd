"""Folds events into followers and bindings. Order matters: a binding needs the follower's row."""

from __future__ import annotations

from events.models import EventLog
from events.registry import projection
from subscribers.binding import complete_binding, unbind_by_follower
from subscribers.fold import STATE_KINDS, state_of
from subscribers.models import Subscriber

__all__ = ["bind_by_scan", "end_binding_on_request", "fold_into_subscriber"]


@projection(*STATE_KINDS)
def fold_into_subscriber(event: EventLog) -> None:
    state = state_of(event)
    if state is not None:
        Subscriber.objects.fold(
            event.account_id, event.openid, state, now=event.folded_at or event.received_at
        )


@projection("event.subscribe", "event.scan")
def bind_by_scan(event: EventLog) -> None:
    if event.openid:
        complete_binding(event)


@projection("text")
def end_binding_on_request(event: EventLog) -> None:
    unbind_by_follower(event)

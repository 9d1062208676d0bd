"""Folds events into followers, bindings and scenes.

Order matters: a binding needs the follower's row. Noting a new scene locks its row to the end of
the transaction, so that comes last.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from events.log.registry import projection
from events.models import EventLog
from subscribers.binding.bind import complete_binding, unbind_by_follower
from subscribers.fold.rules import STATE_KINDS, State, combine, state_of
from subscribers.models import SeenScene, Subscriber
from subscribers.models.qr_code import is_scene

__all__ = [
    "bind_by_code",
    "bind_by_scan",
    "end_binding_on_request",
    "fold_into_subscriber",
    "remember_scene",
]


def _fold_into_subscribers(events: Sequence[EventLog]) -> None:
    states: dict[tuple[int, str], State] = {}
    for event in events:
        state = state_of(event)
        if state is not None:
            key = (event.account_id, event.openid)
            states[key] = combine(states[key], state) if key in states else state
    if states:
        Subscriber.objects.fold(states)


@projection(*STATE_KINDS, batch=_fold_into_subscribers)
def fold_into_subscriber(event: EventLog) -> None:
    _fold_into_subscribers([event])


@projection("event.subscribe", "event.scan")
def bind_by_scan(event: EventLog) -> None:
    if event.openid:
        complete_binding(event)


@projection("text")
def bind_by_code(event: EventLog) -> None:
    if event.openid:
        complete_binding(event)


@projection("text")
def end_binding_on_request(event: EventLog) -> None:
    unbind_by_follower(event)


def _remember_scenes(events: Sequence[EventLog]) -> None:
    seen: dict[tuple[int, str], datetime.datetime] = {}
    for event in events:
        if is_scene(event.scene):
            key = (event.account_id, event.scene)
            seen[key] = min(seen.get(key, event.event_time), event.event_time)
    SeenScene.objects.note(seen)


@projection("event.subscribe", "event.scan", batch=_remember_scenes)
def remember_scene(event: EventLog) -> None:
    _remember_scenes([event])

"""Folds events into followers, bindings and scenes.

The order of these functions matters: a binding needs the follower's row. Noting a new scene locks
its row until the end of the transaction, so it comes last.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from events.binding_scenes import is_binding_scene
from events.log.registry import projection
from events.models import EventLog
from subscribers.binding.asking import is_answer
from subscribers.binding.bind import is_unbind_request
from subscribers.binding.codes import code_in
from subscribers.fold.rules import STATE_KINDS, State, combine, state_of
from subscribers.models import SeenScene, Subscriber
from subscribers.models.scene import is_scene
from subscribers.models.seen_scene import is_noted
from subscribers.signing_in.texts import decide, decide_together
from subscribers.state.fold_in_statement import FOLD_IN_STATEMENT

__all__ = [
    "bind_or_unbind",
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


@projection(*STATE_KINDS, batch=_fold_into_subscribers, in_statement=FOLD_IN_STATEMENT)
def fold_into_subscriber(event: EventLog) -> None:
    """Combines the event with the follower's row, and makes a missing row."""
    _fold_into_subscribers([event])


def _decides_nothing(event: EventLog) -> bool:
    if event.kind != "text":
        return not is_binding_scene(event.scene)
    return not (code_in(event) or is_answer(event) or is_unbind_request(event))


@projection("event.subscribe", "event.scan", "text", batch=decide_together, leaves=_decides_nothing)
def bind_or_unbind(event: EventLog) -> None:
    """Decides a follow or scan with a binding code, and a text about a binding or a sign-in.

    These are one projection, because a follower's events must be decided in the order of arrival.
    """
    decide(event)


def _remember_scenes(events: Sequence[EventLog]) -> None:
    seen: dict[tuple[int, str], datetime.datetime] = {}
    for event in events:
        if is_scene(event.scene):
            key = (event.account_id, event.scene)
            seen[key] = min(seen.get(key, event.event_time), event.event_time)
    SeenScene.objects.note(seen)


def _needs_no_note(event: EventLog) -> bool:
    scene = event.scene
    if not scene or is_noted(event.account_id, scene, event.event_time):
        return True
    return not is_scene(scene)


@projection("event.subscribe", "event.scan", batch=_remember_scenes, leaves=_needs_no_note)
def remember_scene(event: EventLog) -> None:
    """Notes when the scene was first seen."""
    _remember_scenes([event])

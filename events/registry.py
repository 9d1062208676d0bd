"""Where apps say what they do with events: projections and reply handlers.

A projection folds an event into state. Every authentic event of ours passes all projections of its
kind, inside the transaction that stores it; a projection touches the database only, is quick, and
cannot be replaced. A reply handler may answer the follower; there is one per kind, an app may
override ours, and a failing one undoes nothing.

Both take the stored EventLog row and nothing else, so that trying again is the same path as live
traffic. Register them from an AppConfig.ready() by importing the module that holds them:

    @projection("event.subscribe", "event.unsubscribe")
    def note_follow(event: EventLog) -> None: ...

    @reply_handler("event.click", override=True)
    def answer_click(event: EventLog) -> Reply | None: ...

Registries rather than Django signals: a passive reply is one return value, a failure belongs to one
row, and "go to definition" works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from events.wechat import Reply

if TYPE_CHECKING:
    from events.models import EventLog

__all__ = [
    "ANY_KIND",
    "Projection",
    "ReplyHandler",
    "projection",
    "projections_for",
    "reply_handler",
    "reply_handler_for",
]

Projection = Callable[["EventLog"], None]
ReplyHandler = Callable[["EventLog"], Reply | None]

_P = TypeVar("_P", bound=Projection)
_R = TypeVar("_R", bound=ReplyHandler)

ANY_KIND = "*"

_projections: dict[str, list[Projection]] = {}
_reply_handlers: dict[str, ReplyHandler] = {}


def projection(*kinds: str) -> Callable[[_P], _P]:
    """Registers a function for events of these kinds, or of ANY_KIND.

    Raises ValueError for no kind at all. Projections run in the order they were registered in,
    those for ANY_KIND first.
    """
    if not kinds:
        raise ValueError("A projection names the kinds it folds, or ANY_KIND.")

    def register(function: _P) -> _P:
        for kind in kinds:
            _projections.setdefault(kind, []).append(function)
        return function

    return register


def reply_handler(*kinds: str, override: bool = False) -> Callable[[_R], _R]:
    """Registers the function that answers events of these kinds.

    Raises ValueError when a kind already has a handler and override is not given, or the other way
    round: both are a misunderstanding about whose answer a follower gets.
    """
    if not kinds:
        raise ValueError("A reply handler names the kinds it answers.")

    def register(function: _R) -> _R:
        for kind in kinds:
            if (kind in _reply_handlers) is not override:
                reason = "has none to override" if override else "has one; say override=True"
                raise ValueError(f"Reply handler for {kind!r}: this kind {reason}.")
            _reply_handlers[kind] = function
        return function

    return register


def projections_for(kind: str) -> list[Projection]:
    return _projections.get(ANY_KIND, []) + _projections.get(kind, [])


def reply_handler_for(kind: str) -> ReplyHandler | None:
    return _reply_handlers.get(kind)

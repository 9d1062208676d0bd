"""Where apps say what they do with events: projections, reply handlers, and keepers of the past.

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

Pushes that arrive together are stored together, so each registration has a quicker second form that
may be given: a projection of many events at once, and a reply found in memory before the event is
stored.

A reply that comes too late for the answer to WeChat, since the worker made it, goes to the one
late_reply_sender(), if an app registered one.

An app that keeps state of its own learns when rows leave the log (events/retention/prune.py) and
when they come back from an archive (events/retention/archive.py):

    @before_removal
    def keep_what_they_say(events: EventLogQuerySet) -> None: ...

    @after_restoring
    def compute_anew(events: EventLogQuerySet) -> None: ...

Registries rather than Django signals: a passive reply is one return value, a failure belongs to one
row, and "go to definition" works.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from events.wechat import Reply

if TYPE_CHECKING:
    from events.models import EventLog
    from events.models.event_log import EventLogQuerySet

__all__ = [
    "ANY_KIND",
    "DEFER",
    "BatchProjection",
    "Defer",
    "EarlyReply",
    "LateReplySender",
    "Projection",
    "ReplyHandler",
    "RetentionHook",
    "after_restoring",
    "announce_removal",
    "announce_restoring",
    "before_removal",
    "early_reply_for",
    "late_reply_sender",
    "project_together",
    "projection",
    "projections_for",
    "reply_handler",
    "reply_handler_for",
    "send_late",
]


class Defer(enum.Enum):
    """What an early reply returns when only the reply handler can tell."""

    DEFER = enum.auto()


DEFER: Final = Defer.DEFER

Projection: TypeAlias = "Callable[[EventLog], None]"
BatchProjection: TypeAlias = "Callable[[Sequence[EventLog]], None]"
ReplyHandler: TypeAlias = "Callable[[EventLog], Reply | None]"
EarlyReply: TypeAlias = "Callable[[EventLog], Reply | Defer | None]"
LateReplySender: TypeAlias = "Callable[[EventLog, Reply], None]"
RetentionHook: TypeAlias = "Callable[[EventLogQuerySet], None]"

_P = TypeVar("_P", bound=Projection)
_R = TypeVar("_R", bound=ReplyHandler)
_K = TypeVar("_K", bound=RetentionHook)
_L = TypeVar("_L", bound=LateReplySender)

ANY_KIND = "*"


@dataclass(frozen=True, slots=True)
class _Projection:
    kinds: frozenset[str]
    project: Projection
    project_batch: BatchProjection | None

    def takes(self, kind: str) -> bool:
        return kind in self.kinds or ANY_KIND in self.kinds


@dataclass(frozen=True, slots=True)
class _ReplyHandler:
    answer: ReplyHandler
    early: EarlyReply | None


_projections: list[_Projection] = []
_reply_handlers: dict[str, _ReplyHandler] = {}
_before_removal: list[RetentionHook] = []
_after_restoring: list[RetentionHook] = []
_late_reply_senders: list[LateReplySender] = []


def projection(*kinds: str, batch: BatchProjection | None = None) -> Callable[[_P], _P]:
    """Registers a function for events of these kinds, or of ANY_KIND.

    `batch` does the same for several events in one go, in any order, and touches rows that others
    may be touching in a fixed order, against deadlocks. Raises ValueError for no kind at all.
    Projections run in the order they were registered in, those for ANY_KIND first.
    """
    if not kinds:
        raise ValueError("A projection names the kinds it folds, or ANY_KIND.")

    def register(function: _P) -> _P:
        _projections.append(_Projection(frozenset(kinds), function, batch))
        _projections.sort(key=lambda registered: ANY_KIND not in registered.kinds)
        return function

    return register


def reply_handler(
    *kinds: str, override: bool = False, early: EarlyReply | None = None
) -> Callable[[_R], _R]:
    """Registers the function that answers events of these kinds.

    `early` is asked first, with the row that is about to be stored: it looks at nothing but the
    event and this process's memory, and returns the reply (which is then stored with the row), None
    for no reply, or LATER to leave it to the handler, as it does by raising. Raises ValueError when
    a kind already has a handler and override is not given, or the other way round: both are a
    misunderstanding about whose answer a follower gets.
    """
    if not kinds:
        raise ValueError("A reply handler names the kinds it answers.")

    def register(function: _R) -> _R:
        for kind in kinds:
            if (kind in _reply_handlers) is not override:
                reason = "has none to override" if override else "has one; say override=True"
                raise ValueError(f"Reply handler for {kind!r}: this kind {reason}.")
            _reply_handlers[kind] = _ReplyHandler(function, early)
        return function

    return register


def late_reply_sender(function: _L) -> _L:
    """Registers the function that brings a reply to the follower when WeChat waits no longer.

    It is called inside the transaction that keeps the reply on its row, so it notes what is to be
    sent and calls nobody; raising makes the reply fail. Raises ValueError when there is one.
    """
    if _late_reply_senders:
        raise ValueError("Late replies have a sender already.")
    _late_reply_senders.append(function)
    return function


def send_late(event: EventLog, reply: Reply) -> None:
    """Hands a late reply to the registered sender, if there is one."""
    for send in _late_reply_senders:
        send(event, reply)


def projections_for(kind: str) -> list[Projection]:
    return [registered.project for registered in _projections if registered.takes(kind)]


def project_together(events: Sequence[EventLog]) -> None:
    """Runs all projections of these events; raises what the first failing one raised."""
    for registered in _projections:
        taken = [event for event in events if registered.takes(event.kind)]
        if not taken:
            continue
        if registered.project_batch is not None:
            registered.project_batch(taken)
        else:
            for event in taken:
                registered.project(event)


def reply_handler_for(kind: str) -> ReplyHandler | None:
    registered = _reply_handlers.get(kind)
    return registered.answer if registered else None


def early_reply_for(kind: str) -> EarlyReply | None:
    registered = _reply_handlers.get(kind)
    return registered.early if registered else None


def before_removal(function: _K) -> _K:
    """Registers a function for rows that are about to leave the log.

    It runs in the transaction that removes them and touches the database only; one that raises
    keeps the rows where they are. The rows can be a whole month's, so it works in sets. Of them
    only not_carried_over() counts towards state.
    """
    _before_removal.append(function)
    return function


def after_restoring(function: _K) -> _K:
    """Registers a function for rows that an archive brought back, after their transaction.

    Rows whose removal it has seen are marked is_carried_over and change nothing. This site did not
    fold the others, or not into what it has now.
    """
    _after_restoring.append(function)
    return function


def announce_removal(events: EventLogQuerySet) -> None:
    for keep in _before_removal:
        keep(events)


def announce_restoring(events: EventLogQuerySet) -> None:
    for keep in _after_restoring:
        keep(events)

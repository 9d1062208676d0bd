"""Registries where apps say what they do with events: projections and reply handlers.

A projection folds an event into state. Every authentic event passes all projections of its kind in
the transaction that stores it. A projection touches the database only, is quick, and cannot be
replaced. A reply handler may answer the follower: one per kind, which another app may override; if
it fails, the fold stands.

Both take the stored EventLog row and nothing else, so a retry is the same path as live traffic.
They stand in an app's `wechat.py`, which the start imports:

    @projection("event.subscribe", "event.unsubscribe")
    def note_follow(event: EventLog) -> None: ...

    @reply_handler("event.click", override=True)
    def answer_click(event: EventLog) -> Reply | None: ...

Each has optional quicker forms for pushes that arrive together: a projection of many events at
once or as a part of the statement that stores them (InStatement); a reply found in memory before
the event is stored, and replies found together in the transaction that folds their events.

late_reply_sender() registers the function that takes replies which come too late for WeChat.

These, and the hooks in retention_hooks.py, are registries and not Django signals: a passive reply
is one return value, a failure belongs to one row, and "go to definition" works.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from events.wechat import Reply

if TYPE_CHECKING:
    from events.models import EventLog

__all__ = [
    "ANY_KIND",
    "DEFER",
    "BatchProjection",
    "Defer",
    "EarlyReply",
    "FoldReplies",
    "InStatement",
    "LateReplySender",
    "NotYet",
    "Projection",
    "ReplyHandler",
    "early_reply_for",
    "fold_replies_for",
    "in_statement_for",
    "late_reply_sender",
    "project_together",
    "projection",
    "projections_for",
    "reply_handler",
    "reply_handler_for",
    "send_late",
]


class Defer(enum.Enum):
    """What an early reply returns to leave the reply to the handler."""

    DEFER = enum.auto()


DEFER: Final = Defer.DEFER


class NotYet(Exception):
    """An early reply rests on what is known once the event is stored: as DEFER, raised."""


Projection: TypeAlias = "Callable[[EventLog], None]"
BatchProjection: TypeAlias = "Callable[[Sequence[EventLog]], None]"
ReplyHandler: TypeAlias = "Callable[[EventLog], Reply | None]"
EarlyReply: TypeAlias = "Callable[[EventLog], Reply | Defer | None]"
FoldReplies: TypeAlias = "Callable[[Sequence[EventLog]], Sequence[Reply | Defer | None]]"
LateReplySender: TypeAlias = "Callable[[EventLog, Reply], bool]"


_P = TypeVar("_P", bound=Projection)
_R = TypeVar("_R", bound=ReplyHandler)
_L = TypeVar("_L", bound=LateReplySender)

ANY_KIND = "*"


@dataclass(frozen=True)
class InStatement:
    """A projection in SQL, as a part of the statement that stores pushes on PostgreSQL.

    The statement (events/log/one_statement.py) has the new events as the rows of `new`, which
    carry, besides the columns of the log, what `values` says of each event, or nothing where it
    says None. It may name `columns`, which are given with their types; one that it leaves out is
    NULL. `sql` writes rows of the app's own, in a fixed order against deadlocks. `row` tells the
    rows apart that events write: two that write the same row never come in one statement.
    """

    columns: Callable[[], Mapping[str, str]]
    values: Callable[[EventLog], Mapping[str, Any] | None]
    row: Callable[[EventLog], Hashable]
    sql: Callable[[], str]


@dataclass(frozen=True, slots=True)
class _Projection:
    kinds: frozenset[str]
    project: Projection
    project_batch: BatchProjection | None
    in_statement: InStatement | None
    leaves: Callable[[EventLog], bool] | None

    def takes(self, kind: str) -> bool:
        return kind in self.kinds or ANY_KIND in self.kinds

    def is_concerned(self, event: EventLog) -> bool:
        return self.takes(event.kind) and not (self.leaves and self.leaves(event))


@dataclass(frozen=True, slots=True)
class _ReplyHandler:
    answer: ReplyHandler
    early: EarlyReply | None
    with_fold: FoldReplies | None
    gives_way: bool = False


_projections: list[_Projection] = []
_reply_handlers: dict[str, _ReplyHandler] = {}
_late_reply_senders: list[LateReplySender] = []


def projection(
    *kinds: str,
    batch: BatchProjection | None = None,
    in_statement: InStatement | None = None,
    leaves: Callable[[EventLog], bool] | None = None,
) -> Callable[[_P], _P]:
    """Registers a function for events of these kinds, or of ANY_KIND.

    `batch` does the same for several events in one go, in any order; against deadlocks it touches
    rows that other processes touch too in a fixed order. `in_statement` does it in SQL, and
    `leaves` says, from the event and this process's memory, that the projection would change
    nothing; a push for which neither holds takes longer to store. Raises ValueError
    without a kind. Projections run in the order of their registration, those for ANY_KIND first.
    """
    if not kinds:
        raise ValueError("A projection names the kinds it folds, or ANY_KIND.")

    def register(function: _P) -> _P:
        _projections.append(_Projection(frozenset(kinds), function, batch, in_statement, leaves))
        _projections.sort(key=lambda registered: ANY_KIND not in registered.kinds)
        return function

    return register


def reply_handler(
    *kinds: str,
    override: bool = False,
    early: EarlyReply | None = None,
    with_fold: FoldReplies | None = None,
    gives_way: bool = False,
) -> Callable[[_R], _R]:
    """Registers the function that answers events of these kinds.

    `early` runs first, with the row that is about to be stored. It reads the event and this
    process's memory, nothing else, and returns the reply to store with the row, None for no reply,
    or DEFER to leave it to the handler, which an exception does too. `with_fold` gets the deferred
    ones that arrive together, once they are folded, and says the same of each; it reads and writes
    the database alone, in the transaction that stores them. Raises ValueError if a kind has a
    handler and `override` is not given, or the other way round: either is a misunderstanding about
    whose reply a follower gets. A handler that `gives_way` is replaced either way.
    """
    if not kinds:
        raise ValueError("A reply handler names the kinds it answers.")

    def register(function: _R) -> _R:
        for kind in kinds:
            present = _reply_handlers.get(kind)
            is_free = present is None or present.gives_way
            if not (present is not None if override else is_free):
                reason = "has none to override" if override else "has one; say override=True"
                raise ValueError(f"Reply handler for {kind!r}: this kind {reason}.")
            _reply_handlers[kind] = _ReplyHandler(function, early, with_fold, gives_way)
        return function

    return register


def late_reply_sender(function: _L) -> _L:
    """Registers the function that brings a reply to the follower when WeChat waits no longer.

    It is called inside a transaction, so it queues the message and calls no network; it returns
    whether the reply will go out. Raises ValueError when there is one.
    """
    if _late_reply_senders:
        raise ValueError("Late replies have a sender already.")
    _late_reply_senders.append(function)
    return function


def send_late(event: EventLog, reply: Reply) -> bool:
    """Hands a late reply to the registered sender, if there is one; whether it will go out."""
    return any(send(event, reply) for send in _late_reply_senders)


def projections_for(kind: str) -> list[Projection]:
    return [registered.project for registered in _projections if registered.takes(kind)]


def in_statement_for(event: EventLog) -> list[InStatement] | None:
    """The projections of an unsaved event in SQL; None if it needs one that is not."""
    found = []
    for registered in _projections:
        if not registered.is_concerned(event):
            continue
        if registered.in_statement is None:
            return None
        found.append(registered.in_statement)
    return found


def project_together(events: Sequence[EventLog]) -> None:
    """Runs all projections of these events; raises what the first failing one raised."""
    for registered in _projections:
        taken = [event for event in events if registered.is_concerned(event)]
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


def fold_replies_for(kind: str) -> FoldReplies | None:
    registered = _reply_handlers.get(kind)
    return registered.with_fold if registered else None

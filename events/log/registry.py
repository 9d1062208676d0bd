"""Registers what apps do with events: projections and reply handlers.

A projection folds an event into state. Every authentic event passes all projections of its kind in
the transaction that stores it. A projection uses only the database, is quick, and cannot be
replaced. A reply handler may answer the follower. A kind has one handler, which another app may
override; if the handler fails, the fold stays valid.

Both take only the stored EventLog row, so a retry runs the same code as live traffic. They stand in
an app's `wechat.py`, which the start imports:

    @projection("event.subscribe", "event.unsubscribe")
    def note_follow(event: EventLog) -> None: ...

    @reply_handler("event.click", override=True)
    def answer_click(event: EventLog) -> Reply | None: ...

Both have optional quicker forms. A projection can fold many events at once, or be a part of the
statement that stores them (InStatement). A reply can be found in memory before its event is stored
(`early`), or together with other replies in the transaction that folds their events (`with_fold`).

late_reply_sender() registers the function that sends replies which come too late for WeChat.

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
    """The value that an early reply returns to leave the reply to the handler."""

    DEFER = enum.auto()


DEFER: Final = Defer.DEFER


class NotYet(Exception):
    """An early reply raises this, instead of returning DEFER, if it needs the stored event."""


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

    In the statement (events/log/one_statement.py), `new` holds a row for each new event: the
    columns of the log, and the app's own `columns`, a mapping of names to SQL types. `values`
    returns the event's values for these columns; a missing one is NULL, and None means that the
    projection has nothing to write. `sql` writes rows of the app's own tables, in a fixed order
    against deadlocks. `row` identifies the row that an event writes: two events that write the same
    row never come in one statement.
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

    `batch` does the same for several events at once, in the order of their arrival; it must lock
    rows in a fixed order, so that two processes do not deadlock. `in_statement` does it in SQL.
    `leaves` returns whether the projection would change nothing, judged by the event and this
    process's memory. Without `in_statement`, a push takes longer to store unless `leaves` is true
    for it. Projections run in the order of their registration, those for ANY_KIND first. Raises
    ValueError without a kind.
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

    `early` runs first, with the row before it is stored. It reads only the event and this process's
    memory. It returns the reply to store with the row, None for no reply, or DEFER to leave the
    reply to the handler; an exception does the same as DEFER. If the row was stored without its
    reply, `early` runs again with the stored row, which has a `pk`. `with_fold` gets the deferred
    events that arrive together, after their fold, and returns one of the same three for each; it
    uses only the database, in the transaction that stores the events.

    Raises ValueError if a kind has a handler and `override` is false, or if it has none and
    `override` is true: the author is mistaken about who answers the follower. A handler with
    `gives_way` can be replaced without `override`.
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
    """Registers the function that sends a reply to the follower when WeChat no longer waits.

    It is called inside a transaction, so it queues the message and makes no network call. It
    returns whether the reply will go out. Raises ValueError if a function is registered already.
    """
    if _late_reply_senders:
        raise ValueError("A function that sends late replies is registered already.")
    _late_reply_senders.append(function)
    return function


def send_late(event: EventLog, reply: Reply) -> bool:
    """Hands a late reply to the registered sender; returns whether the reply will go out."""
    return any(send(event, reply) for send in _late_reply_senders)


def projections_for(kind: str) -> list[Projection]:
    return [registered.project for registered in _projections if registered.takes(kind)]


def in_statement_for(event: EventLog) -> list[InStatement] | None:
    """Returns the event's projections in SQL; None if it needs one that has no SQL."""
    found = []
    for registered in _projections:
        if not registered.is_concerned(event):
            continue
        if registered.in_statement is None:
            return None
        found.append(registered.in_statement)
    return found


def project_together(events: Sequence[EventLog]) -> None:
    """Runs all projections of these events; raises the exception of the first that fails."""
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

"""Registers what apps with their own state do when rows leave the log, return or change.

Retention removes rows (events/retention/prune.py), an archive brings them back
(events/retention/archive/), and an erasure gives them a pseudonym:

    @before_removal
    def keep_what_they_say(events: EventLogQuerySet) -> None: ...

    @after_restoring
    def compute_anew(events: EventLogQuerySet) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from events.models import EventLog
    from events.models.event_log import EventLogQuerySet

__all__ = [
    "ErasureHook",
    "RetentionHook",
    "ReturnedRowsHook",
    "after_restoring",
    "announce_after_restoring",
    "announce_before_restoring",
    "announce_erasure",
    "announce_removal",
    "before_removal",
    "before_restoring",
    "on_erasure",
]

RetentionHook: TypeAlias = "Callable[[EventLogQuerySet], None]"
ReturnedRowsHook: TypeAlias = "Callable[[list[EventLog]], None]"
ErasureHook: TypeAlias = "Callable[[int, str, str], None]"
_K = TypeVar("_K", bound=RetentionHook)
_on_erasure: list[ErasureHook] = []
_before_restoring: list[ReturnedRowsHook] = []
_before_removal: list[RetentionHook] = []
_after_restoring: list[RetentionHook] = []


def before_removal(function: _K) -> _K:
    """Registers a function for rows that are about to leave the log.

    It runs in the transaction that removes the rows and uses only the database; if it raises, the
    rows stay. It gets up to a whole month of rows, so it must use queries over sets. Only the rows
    in `events.not_carried_over()` count towards state.
    """
    _before_removal.append(function)
    return function


def after_restoring(function: _K) -> _K:
    """Registers a function for rows that an archive brought back; it runs after their transaction.

    Rows that the app has carried over have `is_carried_over` set, and change nothing. The state
    does not contain the other rows yet.
    """
    _after_restoring.append(function)
    return function


def before_restoring(function: ReturnedRowsHook) -> ReturnedRowsHook:
    """Registers a function for unsaved rows that an archive is about to bring back.

    It may change the rows. It runs before the transaction that inserts them.
    """
    _before_restoring.append(function)
    return function


def announce_removal(events: EventLogQuerySet) -> None:
    """Runs the functions of `before_removal`."""
    for keep in _before_removal:
        keep(events)


def announce_before_restoring(events: list[EventLog]) -> None:
    """Runs the functions of `before_restoring`."""
    for change in _before_restoring:
        change(events)


def announce_after_restoring(events: EventLogQuerySet) -> None:
    """Runs the functions of `after_restoring`."""
    for notice in _after_restoring:
        notice(events)


def on_erasure(function: ErasureHook) -> ErasureHook:
    """Registers a function that renames one person in the tables of an app.

    It takes the account's id, the OpenID, and the pseudonym that replaces the OpenID. It runs in
    the transaction that erases the person from the log. It uses only the database, keeps every
    count, and removes what the person wrote.
    """
    _on_erasure.append(function)
    return function


def announce_erasure(account_id: int, openid: str, pseudonym: str) -> None:
    """Runs the functions of `on_erasure`."""
    for rename in _on_erasure:
        rename(account_id, openid, pseudonym)

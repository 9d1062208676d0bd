"""Stores events, folds each of them once, and brings each to its outcome.

Fold and answer have separate columns, so that a failing reply never undoes or repeats a fold. Live
traffic, the worker and an operator's "try again" all use this module.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from psycopg.errors import LockNotAvailable

from events.db.transactions import (
    LOCK_TIMEOUT,
    LOCK_TIMEOUT_OF_ONE,
    release_connection,
    short_transaction,
)
from events.delays import EVENT
from events.log.one_statement import store_if_usual
from events.log.registry import project_together, projections_for
from events.log.replies.answers import make_answer, note_failure
from events.log.replies.reply_pool import ReplyPool
from events.log.replies.reply_ways import send_what_is_late
from events.log.replies.with_commit import answer_folded
from events.models import EventLog
from events.models.event_log import EventLogQuerySet

__all__ = ["deliver", "fold_if_missing", "process", "process_due", "reopen"]

logger = logging.getLogger(__name__)

# The most due rows that one query reads.
_DUE_AT_ONCE = 100


def deliver(
    events: Sequence[EventLog],
    lock_timeout: float = LOCK_TIMEOUT,
    *,
    then: Callable[[Sequence[bool]], None] | None = None,
    are_heard: bool = False,
) -> list[bool]:
    """Stores unsaved rows and folds the new ones in one transaction; returns which are new.

    A row whose projection raises stays unfolded, with its error, for the worker. A duplicate only
    raises the delivery count. The transaction waits up to `lock_timeout` seconds for a lock. After
    OperationalError or InterfaceError it is unknown whether it stored anything; after any other
    error it stored nothing. `then` gets the list of new rows in the same transaction: if it raises,
    nothing is stored. `are_heard` says that a connection waits for the reply to each row; then
    handlers with `with_fold` reply in this transaction.

    On PostgreSQL one statement stores pushes of the usual kinds (events/log/one_statement.py).
    """
    if then is None and lock_timeout == LOCK_TIMEOUT:
        try:
            stored = store_if_usual(events)
        except OperationalError as error:
            if len(events) > 1 or not isinstance(error.__cause__, LockNotAvailable):
                raise
            # The general way stores the push unfolded if only the fold waits for the lock.
            lock_timeout = LOCK_TIMEOUT_OF_ONE
        else:
            if stored is not None:
                return stored
    began = time.monotonic()
    answered = []
    try:
        with short_transaction(lock_timeout):
            are_new, claimed = _insert(events)
            _fold_together(claimed)
            if are_heard:
                answered = answer_folded(claimed)
            if then is not None:
                then(are_new)
    except _FoldFailed as failure:
        # Fold each event by itself, to find the faulty one. If a lock was the reason, the time for
        # waiting is used up: wait only briefly now.
        with short_transaction(LOCK_TIMEOUT_OF_ONE):
            are_new, claimed = _insert(events)
            if len(claimed) == 1:
                _give_back(claimed[0], failure.error)
            else:
                for event in claimed:
                    _fold(event, deadline=began + lock_timeout + 1)
            if then is not None:
                then(are_new)
    for event, columns in answered:
        event.__dict__.update(columns)
    return are_new


def process(event: EventLog) -> EventLog | None:
    """Folds a stored row if it is not folded yet, then makes its reply.

    It reads only the key of `event`. No connection waits for the reply, so the reply does not go
    out as a passive one. Returns the row as it is then; or None if there is nothing to do, or if
    another process works on it.
    """
    if fold_if_missing(event):
        return make_answer(event)
    return send_what_is_late(event)


def process_due(pool: ReplyPool | None = None) -> int:
    """Processes the rows that are due; returns on how many it made progress.

    With a pool, the pool's threads run the reply handlers, and rows for which it is full wait.
    """
    now = timezone.now()
    full: set[int] = set()
    progressed = 0
    while True:
        due = (
            EventLog.objects.due(now).exclude(account__in=full).only("pk", "event_time", "account")
        )
        rows = list(due[:_DUE_AT_ONCE])
        for row in rows:
            if pool is None:
                progressed += _process_one(row, process)
            elif row.account_id not in full:
                if pool.has_room(row.account_id):
                    progressed += _process_one(row, partial(_process_in, pool))
                else:
                    full.add(row.account_id)
        # Read on only if rows of a full account may hide those of other accounts.
        if pool is None or len(rows) < _DUE_AT_ONCE or full.isdisjoint(r.account_id for r in rows):
            return progressed


def _process_one(row: EventLog, process_row: Callable[[EventLog], object]) -> bool:
    """Processes one row; returns whether it made progress. A failing row stops no other one."""
    try:
        return bool(process_row(row))
    except (OperationalError, InterfaceError):
        # The database is away or busy: the other rows would fail too.
        raise
    except Exception:
        logger.exception("Event %s could not be processed", row.pk)
        later = timezone.now() + EVENT[0]
        EventLog.objects.with_key_of(row).update(next_attempt_at=later)
        return False


def _process_in(pool: ReplyPool, row: EventLog) -> bool:
    if not fold_if_missing(row):
        return send_what_is_late(row) is not None
    if row.pk in _in_pool:
        return False
    _in_pool.add(row.pk)

    def run() -> None:
        try:
            make_answer(row)
        finally:
            release_connection()
            _in_pool.discard(row.pk)

    if pool.submit(row.account_id, run):
        return True
    _in_pool.discard(row.pk)
    return False


# Rows in this process's pool; the pool may not have claimed them yet.
_in_pool: set[int] = set()


def reopen(events: EventLogQuerySet) -> list[EventLog]:
    """Gives failed and dead rows all their attempts again; returns their keys, due at once."""
    again = events.filter(status__in=[EventLog.Status.FAILED, EventLog.Status.DEAD])
    keys = list(again.only_key())
    # The worker may finish a row meanwhile, so each update checks the status again.
    rows = again.filter(pk__in=[event.pk for event in keys])
    with transaction.atomic():
        # A row that was given up has answered_by NONE; now it waits for an answer again.
        rows.filter(answered_by=EventLog.AnsweredBy.NONE).update(
            answered_by=EventLog.AnsweredBy.NOBODY_YET
        )
        rows.update(status=EventLog.Status.FAILED, attempts=0, next_attempt_at=timezone.now())
    return keys


class _FoldFailed(Exception):
    """A projection raised `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _insert(events: Sequence[EventLog]) -> tuple[list[bool], list[EventLog]]:
    """Inserts rows; returns which are new, and the events that the caller must fold."""
    for event in events:
        if event.status in {EventLog.Status.RECEIVED, EventLog.Status.PROCESSED}:
            # Inserting the row with folded_at set is the claim to fold it.
            event.folded_at = event.received_at
    are_new = EventLog.objects.deliver(events)
    return are_new, [
        event
        for event, is_new in zip(events, are_new, strict=True)
        if is_new and event.folded_at is not None
    ]


def _fold_together(events: Sequence[EventLog]) -> None:
    try:
        project_together(events)
    except Exception as error:
        raise _FoldFailed(error) from error


def _fold(event: EventLog, *, deadline: float) -> None:
    """Runs all projections of a row whose fold the caller has claimed.

    If one raises, none counts, and the claim is given back. `deadline` is a time.monotonic().
    """
    try:
        if time.monotonic() > deadline:
            raise TimeoutError("no time was left to fold this event before WeChat needs an answer")
        with transaction.atomic():
            for project in projections_for(event.kind):
                project(event)
    except Exception as error:
        _give_back(event, error)


def _give_back(event: EventLog, error: Exception) -> None:
    """Leaves a row that could not be folded to the worker."""
    logger.error("Event %s could not be folded", event.pk, exc_info=error)
    event.folded_at = event.processed_at = event.duration_ms = None
    event.reply, event.answered_by, event.answered_at = "", "", None
    if event.status == EventLog.Status.PROCESSED:
        event.status = EventLog.Status.RECEIVED
    note_failure(event, error)
    _save_outcome(event, "folded_at", "reply", "answered_by", "answered_at")


def fold_if_missing(event: EventLog) -> bool:
    """Folds a stored row if it is not folded yet; returns whether it is folded but not answered."""
    with short_transaction():
        rows = EventLog.objects.awaiting_outcome().with_key_of(event)
        row = rows.select_related("account").first()
        if row is None:
            return False
        if row.folded_at is not None:
            return True
        now = timezone.now()
        claimed = EventLog.objects.with_key_of(event).filter(folded_at=None).update(folded_at=now)
        if not claimed:
            return False
        # An erasure may have renamed the row while the claim waited for its lock.
        row = EventLog.objects.with_key_of(event).select_related("account").get()
        _fold(row, deadline=time.monotonic() + LOCK_TIMEOUT)
        return row.folded_at is not None


def _save_outcome(event: EventLog, *others: str) -> None:
    names = [
        "status", "error", "attempts", "next_attempt_at", "processed_at", "duration_ms", *others
    ]  # fmt: skip
    EventLog.objects.with_key_of(event).update(**{name: getattr(event, name) for name in names})

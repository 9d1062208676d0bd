"""What happens to a stored event: it is folded once, and answered.

Two separate facts with separate columns, so that a failing reply never undoes or repeats a fold.
Live traffic, the worker and an operator's "try again" all come here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from django.db import transaction
from django.utils import timezone

from events.db.transactions import LOCK_TIMEOUT, release_connection, short_transaction
from events.log.answers import make_answer, note_failure, send_what_is_late
from events.log.registry import project_together, projections_for
from events.log.reply_pool import ReplyPool
from events.models import EventLog
from events.models.event_log import EventLogQuerySet

__all__ = ["deliver", "fold_if_missing", "process", "process_due", "reopen"]

logger = logging.getLogger(__name__)

# Seconds for a lock that one of several rows waits for.
_LOCK_TIMEOUT_OF_ONE = 0.2


def deliver(
    events: Sequence[EventLog],
    lock_timeout: float = LOCK_TIMEOUT,
    *,
    then: Callable[[Sequence[bool]], None] | None = None,
) -> list[bool]:
    """Stores unsaved rows and folds those that are new, in one transaction; returns which are.

    A row whose projection raises is left unfolded, with its error, for the worker. A duplicate
    changes nothing but the delivery count. Raises DatabaseError when nothing was stored; locks are
    waited for `lock_timeout` seconds. `then` is called with what is to be returned, in the same
    transaction: if it raises, nothing was stored.
    """
    began = time.monotonic()
    try:
        with short_transaction(lock_timeout):
            are_new, claimed = _insert(events)
            _fold_together(claimed)
            if then is not None:
                then(are_new)
    except _FoldFailed as failure:
        # Whose fault it is shows when each is folded by itself. It may be a lock that somebody
        # holds, and the time that was waited for it is gone.
        with short_transaction(_LOCK_TIMEOUT_OF_ONE):
            are_new, claimed = _insert(events)
            if len(claimed) == 1:
                _give_back(claimed[0], failure.error)
            else:
                for event in claimed:
                    _fold(event, deadline=began + lock_timeout + 1)
            if then is not None:
                then(are_new)
    return are_new


def process(event: EventLog) -> EventLog | None:
    """Brings a stored row to its outcome: folds it if that is missing, then asks for the reply.

    Of `event` only the key is read. Nobody waits for the reply, so it goes out another way. Returns
    the row as it is then; or None when there is nothing to do, or another process is at it.
    """
    if fold_if_missing(event):
        return make_answer(event)
    return send_what_is_late(event)


def process_due(pool: ReplyPool | None = None, *, limit: int = 100) -> int:
    """Processes the rows whose time has come; returns how many were brought further.

    With a pool its threads run the reply handlers, and rows wait that it has no room for.
    """
    now = timezone.now()
    full: set[int] = set()
    brought = 0
    while True:
        due = (
            EventLog.objects.due(now).exclude(account__in=full).only("pk", "event_time", "account")
        )
        rows = list(due[:limit])
        for row in rows:
            if pool is None:
                brought += process(row) is not None
            elif row.account_id not in full:
                if pool.has_room(row.account_id):
                    brought += _process_in(pool, row)
                else:
                    full.add(row.account_id)
        if pool is None or len(rows) < limit or not full.intersection(r.account_id for r in rows):
            return brought


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


# Rows that this process's pool has and may not have claimed yet.
_in_pool: set[int] = set()


def reopen(events: EventLogQuerySet) -> list[EventLog]:
    """Gives failed and dead rows all their attempts again; returns their keys, due at once."""
    again = events.filter(status__in=[EventLog.Status.FAILED, EventLog.Status.DEAD])
    keys = list(again.only_key())
    EventLog.objects.filter(pk__in=[event.pk for event in keys]).update(
        status=EventLog.Status.FAILED, attempts=0, next_attempt_at=timezone.now()
    )
    return keys


class _FoldFailed(Exception):
    """A projection raised; what, is in `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _insert(events: Sequence[EventLog]) -> tuple[list[bool], list[EventLog]]:
    """Inserts rows; returns which are new, and those to be folded by us."""
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
    """Runs all projections of a row claimed for it, or none: then the claim is given back.

    `deadline` is a time.monotonic().
    """
    try:
        if time.monotonic() > deadline:
            raise TimeoutError("no time was left to fold this event before WeChat's answer")
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
    """Folds a stored row that was not; whether it is folded and has no outcome yet."""
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
        row.folded_at = now
        _fold(row, deadline=time.monotonic() + LOCK_TIMEOUT)
        return row.folded_at is not None


def _save_outcome(event: EventLog, *others: str) -> None:
    names = [
        "status", "error", "attempts", "next_attempt_at", "processed_at", "duration_ms", *others
    ]  # fmt: skip
    EventLog.objects.with_key_of(event).update(**{name: getattr(event, name) for name in names})

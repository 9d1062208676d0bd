"""What happens to a stored event: it is folded once, and answered.

Two separate facts with separate columns, so that a failing reply never undoes or repeats a fold.
Live traffic, the worker and an operator's "try again" all come here.
"""

from __future__ import annotations

import datetime
import logging
import time
import traceback
from collections.abc import Callable, Sequence

from django.db import connection, transaction
from django.utils import timezone

from events.db.transactions import LOCK_TIMEOUT, short_transaction
from events.log.registry import project_together, projections_for, reply_handler_for, send_late
from events.models import EventLog
from events.models.event_log import EventLogQuerySet
from events.wechat import Reply, render

__all__ = ["RETRY_DELAYS", "answer", "deliver", "process", "process_due", "reopen", "written"]

logger = logging.getLogger(__name__)

# After the last of them a row is given up on, and shown to operators.
RETRY_DELAYS = tuple(
    datetime.timedelta(seconds=seconds) for seconds in (30, 120, 600, 3600, 6 * 3600)
)
_ERROR_LENGTH = 4000
# Seconds for a lock that one of several rows waits for.
_PATIENCE_WITH_ONE = 0.2


def deliver(
    events: Sequence[EventLog],
    patience: float = LOCK_TIMEOUT,
    *,
    then: Callable[[Sequence[bool]], None] | None = None,
) -> list[bool]:
    """Stores unsaved rows and folds those that are new, in one transaction; returns which are.

    A row whose projection raises is left unfolded, with its error, for the worker. A duplicate
    changes nothing but the delivery count. Raises DatabaseError when nothing was stored; locks are
    waited for `patience` seconds. `then` is called with what is to be returned, in the same
    transaction: if it raises, nothing was stored.
    """
    began = time.monotonic()
    try:
        with short_transaction(patience):
            are_new, claimed = _insert(events)
            _fold_together(claimed)
            if then is not None:
                then(are_new)
    except _FoldFailed as failure:
        # Whose fault it is shows when each is folded by itself. It may be a lock that somebody
        # holds, and the time that was waited for it is gone.
        with short_transaction(_PATIENCE_WITH_ONE):
            are_new, claimed = _insert(events)
            if len(claimed) == 1:
                _give_back(claimed[0], failure.error)
            else:
                for event in claimed:
                    _fold(event, deadline=began + patience + 1)
            if then is not None:
                then(are_new)
    return are_new


def process(event: EventLog, *, is_awaited: bool = False) -> EventLog | None:
    """Brings a stored row to its outcome: folds it if that is missing, then asks for the reply.

    Of `event` only the key is read. Returns the row as it is then; or None when there is nothing to
    do, or another process is at it. `is_awaited` as in answer().
    """
    return answer(event, is_awaited=is_awaited) if _fold_if_missing(event) else None


def answer(event: EventLog, *, is_awaited: bool) -> EventLog | None:
    """Asks the reply handler of a folded row that has no outcome, and keeps what it says.

    Of `event` only the key is read. Returns the row as it is then; or None when it is not such a
    row, or another process is at it. `is_awaited` says that WeChat waits for this reply; otherwise
    it is handed to the sender of late replies.
    """
    with short_transaction():
        claimed = _claimed(event)
        if claimed is None or claimed.folded_at is None:
            return None
        started = timezone.now()
        try:
            with transaction.atomic():
                handler = reply_handler_for(claimed.kind)
                reply = handler(claimed) if handler else None
                claimed.reply = written(reply, claimed, started)
                if reply is not None and not is_awaited:
                    send_late(claimed, reply)
        except Exception as error:
            logger.exception("Event %s could not be answered", claimed.pk)
            claimed.status = EventLog.Status.FAILED
            _note_failure(claimed, error)
        else:
            claimed.status = EventLog.Status.PROCESSED
            claimed.error = ""
            claimed.next_attempt_at = None
            claimed.processed_at = timezone.now()
            claimed.duration_ms = round((claimed.processed_at - started).total_seconds() * 1000)
        _save_outcome(claimed, "reply")
        return claimed


def written(reply: Reply | None, event: EventLog, now: datetime.datetime) -> str:
    """The XML of a reply to this event; empty for none."""
    if reply is None:
        return ""
    return render(
        reply,
        to_user_name=event.from_user,
        from_user_name=event.account.original_id,
        create_time=int(now.timestamp()),
    )


def process_due(*, limit: int = 100) -> int:
    """Processes the rows whose time has come; returns how many were brought further."""
    due = list(EventLog.objects.due(timezone.now()).only_key()[:limit])
    return sum(process(event) is not None for event in due)


def reopen(events: EventLogQuerySet) -> list[EventLog]:
    """Gives failed and dead rows all their attempts again; returns their keys, due at once."""
    again = events.filter(status__in=[EventLog.Status.FAILED, EventLog.Status.DEAD])
    keys = list(again.only_key())
    EventLog.objects.filter(pk__in=[event.pk for event in keys]).update(
        status=EventLog.Status.FAILED, attempts=0, next_attempt_at=timezone.now()
    )
    return keys


def _claimed(event: EventLog) -> EventLog | None:
    """The row, if it has no outcome and nobody else is at it.

    The lease ends with the transaction, and so with the process if that is killed. On PostgreSQL it
    is an advisory lock: a lock on the row itself would make a duplicate, which must count itself
    there, wait for the reply handler. SQLite needs none, as a transaction here is the only writer.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [event.pk])
            if not cursor.fetchone()[0]:
                return None
    return EventLog.objects.awaiting_outcome().with_key_of(event).select_related("account").first()


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
    event.reply = ""
    if event.status == EventLog.Status.PROCESSED:
        event.status = EventLog.Status.RECEIVED
    _note_failure(event, error)
    _save_outcome(event, "folded_at", "reply")


def _fold_if_missing(event: EventLog) -> bool:
    with short_transaction():
        row = _claimed(event)
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


def _note_failure(event: EventLog, error: Exception) -> None:
    # PostgreSQL refuses NUL in text.
    detail = "".join(traceback.format_exception(error)).replace("\0", "")
    event.error = detail[-_ERROR_LENGTH:]
    if event.attempts < len(RETRY_DELAYS):
        event.next_attempt_at = timezone.now() + RETRY_DELAYS[event.attempts]
    else:
        event.status = EventLog.Status.DEAD
        event.next_attempt_at = None
    event.attempts += 1


def _save_outcome(event: EventLog, *others: str) -> None:
    names = [
        "status", "error", "attempts", "next_attempt_at", "processed_at", "duration_ms", *others
    ]  # fmt: skip
    EventLog.objects.with_key_of(event).update(**{name: getattr(event, name) for name in names})

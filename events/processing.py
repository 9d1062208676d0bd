"""What happens to a stored event: it is folded once, and answered.

Two separate facts with separate columns and separate transactions, so that a failing reply never
undoes or repeats a fold. Live traffic, the worker and an operator's "try again" all come here.
"""

from __future__ import annotations

import datetime
import logging
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from events.log import EventLogQuerySet
from events.models import EventLog
from events.registry import projections_for, reply_handler_for
from events.wechat import render

__all__ = ["RETRY_DELAYS", "answer", "deliver", "process", "process_due", "reopen"]

logger = logging.getLogger(__name__)

# After the last of them a row is given up on, and shown to operators.
RETRY_DELAYS = tuple(
    datetime.timedelta(seconds=seconds) for seconds in (30, 120, 600, 3600, 6 * 3600)
)
_ERROR_LENGTH = 4000


# Seconds to wait for a turn to write; the whole answer has five.
_PATIENCE = 2
_sqlite_turn = threading.Lock()


@contextmanager
def _short_transaction() -> Iterator[None]:
    """A transaction that gives up rather than outlast WeChat's five seconds.

    Raises OperationalError when it could not begin or go on in time.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true), "
                    "set_config('statement_timeout', '3s', true)",
                    [f"{_PATIENCE}s"],
                )
            yield
        return
    # SQLite lets waiting writers sleep longer and longer, the unlucky ones for ever: with 16
    # threads half of the pushes were refused. In turn, each waits for a few milliseconds.
    if not _sqlite_turn.acquire(timeout=_PATIENCE):
        raise OperationalError("no turn to write within the time a push has")
    try:
        with _busy_timeout(_PATIENCE), transaction.atomic():
            yield
    finally:
        _sqlite_turn.release()


@contextmanager
def _busy_timeout(seconds: float) -> Iterator[None]:
    """Lets SQLite wait for other processes no longer than this; all else may wait longer."""
    usual = connection.settings_dict["OPTIONS"]["timeout"]
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(usual * 1000)}")


def deliver(event: EventLog) -> bool:
    """Stores an unsaved row and folds it, in one transaction; returns whether it is new.

    A projection that raises leaves the row unfolded, with its error, for the worker. A duplicate
    changes nothing but the delivery count.
    """
    foldable = event.status in {EventLog.Status.RECEIVED, EventLog.Status.PROCESSED}
    with _short_transaction():
        if foldable:
            # Inserting the row with folded_at set is the claim to fold it.
            event.folded_at = event.received_at
        is_new = EventLog.objects.deliver(event)
        if is_new and foldable:
            _fold(event)
    return is_new


def process(event_id: int) -> EventLog | None:
    """Brings a stored row to its outcome: folds it if that is missing, then asks for the reply.

    Returns the row; or None when there is nothing to do, or another process is at it.
    """
    return answer(event_id) if _fold_if_missing(event_id) else None


def answer(event_id: int) -> EventLog | None:
    """Asks the reply handler of a folded row that has no outcome, and keeps what it says.

    Returns the row; or None when it is not such a row, or another process is at it.
    """
    with _short_transaction():
        event = _claimed(event_id)
        if event is None or event.folded_at is None:
            return None
        started = timezone.now()
        try:
            with transaction.atomic():
                event.reply = _reply_to(event, started)
        except Exception as error:
            logger.exception("Event %s could not be answered", event.pk)
            event.status = EventLog.Status.FAILED
            _note_failure(event, error)
        else:
            event.status = EventLog.Status.PROCESSED
            event.error = ""
            event.next_attempt_at = None
            event.processed_at = timezone.now()
            event.duration_ms = round((event.processed_at - started).total_seconds() * 1000)
        _save_outcome(event, "reply")
        return event


def process_due(*, limit: int = 100) -> int:
    """Processes the rows whose time has come; returns how many were brought further."""
    now = timezone.now()
    due = list(EventLog.objects.due(now).values_list("pk", flat=True)[:limit])
    return sum(process(event_id) is not None for event_id in due)


def reopen(events: EventLogQuerySet) -> list[int]:
    """Gives failed and dead rows all their attempts again; returns their ids, due at once."""
    again = events.filter(status__in=[EventLog.Status.FAILED, EventLog.Status.DEAD])
    ids = list(again.values_list("pk", flat=True))
    EventLog.objects.filter(pk__in=ids).update(
        status=EventLog.Status.FAILED, attempts=0, next_attempt_at=timezone.now()
    )
    return ids


def _claimed(event_id: int) -> EventLog | None:
    """The row, if it has no outcome and nobody else is at it.

    The lease ends with the transaction, and so with the process if that is killed. On PostgreSQL it
    is an advisory lock: a lock on the row itself would make a duplicate, which must count itself
    there, wait for the reply handler. SQLite needs none, as a transaction here is the only writer.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [event_id])
            if not cursor.fetchone()[0]:
                return None
    return EventLog.objects.awaiting_outcome().select_related("account").filter(pk=event_id).first()


def _fold(event: EventLog) -> bool:
    """Runs all projections of a row claimed for it, or none: then the claim is given back."""
    try:
        with transaction.atomic():
            for project in projections_for(event.kind):
                project(event)
    except Exception as error:
        logger.exception("Event %s could not be folded", event.pk)
        event.folded_at = event.processed_at = event.duration_ms = None
        if event.status == EventLog.Status.PROCESSED:
            event.status = EventLog.Status.RECEIVED
        _note_failure(event, error)
        _save_outcome(event, "folded_at")
        return False
    return True


def _fold_if_missing(event_id: int) -> bool:
    with _short_transaction():
        event = _claimed(event_id)
        if event is None:
            return False
        if event.folded_at is not None:
            return True
        now = timezone.now()
        claimed = EventLog.objects.filter(pk=event_id, folded_at=None).update(folded_at=now)
        if not claimed:
            return False
        event.folded_at = now
        return _fold(event)


def _reply_to(event: EventLog, now: datetime.datetime) -> str:
    handler = reply_handler_for(event.kind)
    reply = handler(event) if handler else None
    if reply is None:
        return ""
    return render(
        reply,
        to_user_name=event.from_user,
        from_user_name=event.account.original_id,
        create_time=int(now.timestamp()),
    )


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
    event.save(
        update_fields=[
            "status", "error", "attempts", "next_attempt_at", "processed_at", "duration_ms", *others
        ]
    )  # fmt: skip

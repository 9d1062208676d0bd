"""Makes the reply to a stored event, once.

A short transaction claims the row, the handler runs, a second short transaction saves the reply.
While the handler runs, the process holds no lock and no connection. The module reply_ways.py
decides which way the reply goes to the follower.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError
from django.utils import timezone

from events.db.transactions import release_connection, short_transaction
from events.delays import EVENT
from events.log.registry import DEFER, early_reply_for, reply_handler_for
from events.log.replies.leases import claim, renewed
from events.log.replies.reply_ways import (
    By,
    give_kept,
    go_late,
    kept_for,
    set_columns,
    take_reply,
    tries_end,
    written,
)
from events.models import EventLog, OfficialAccount
from events.wechat import Reply, parse_reply
from events.wechat.api.transport.answer_fields import storable

__all__ = ["make_answer", "note_failure"]

logger = logging.getLogger(__name__)

_ERROR_LENGTH = 4000
# Seconds. A finished reply is saved again after these pauses, so that the handler need not run
# twice because the database is busy.
_SAVE_AGAIN_AFTER = (0.2, 1, 2)


def make_answer(
    event: EventLog, *, is_heard: Callable[[], bool] = lambda: False
) -> EventLog | None:
    """Runs the reply handler for a folded row without outcome, and saves the reply.

    It reads only the key of `event`. Returns the row as it is then; or None if the row has an
    outcome or is not folded, if another process works on it, or if the lease ended before the
    handler did. `is_heard` is called when the reply is there: it returns whether a connection waits
    and will take the reply at once.
    """
    row = claim(event)
    if row is None:
        return None
    lease = row.lease
    with renewed(row):
        while True:
            made = _make(row)
            try:
                return _saved(row, lease, made, is_heard)
            except _GivenElsewhere:
                logger.info("Another push took the kept answer that event %s was to get", row.pk)


@dataclass(frozen=True, slots=True)
class _Made:
    """A reply. If it is an answer that was kept for this follower, `kept` is that answer's row."""

    reply: Reply | None = None
    kept: EventLog | None = None


class _GivenElsewhere(Exception):
    """Another message, or a repetition of its own push, took a kept answer first."""


def _make(row: EventLog) -> _Made:
    """Runs the handler, and sets the row's outcome in memory; saves nothing."""
    started = timezone.now()
    made = _Made()
    # The claim's connection goes back to the pool before the handler runs, which may take long.
    release_connection()
    try:
        made = _reply_to(row)
        row.reply = written(made.reply, row, started)
    except Exception as error:
        logger.exception("Event %s could not be answered", row.pk)
        made = _Made()
        row.status = EventLog.Status.FAILED
        note_failure(row, error)
    else:
        row.status = EventLog.Status.PROCESSED
        row.error = ""
        row.next_attempt_at = None
        row.processed_at = timezone.now()
        row.duration_ms = round((row.processed_at - started).total_seconds() * 1000)
    # Give back the connection that the handler used.
    release_connection()
    return made


def _reply_to(row: EventLog) -> _Made:
    if row.account.late_answers == OfficialAccount.LateAnswers.NEXT:
        kept = kept_for(row)
        if kept is not None:
            return _Made(parse_reply(kept.reply), kept)
    # The row was stored without its early reply if the account keeps answers, or if the text is too
    # long for one message. So ask for it here.
    early = early_reply_for(row.kind)
    try:
        reply = early(row) if early else DEFER
    except Exception:
        reply = DEFER
    if reply is not DEFER:
        return _Made(reply)
    handler = reply_handler_for(row.kind)
    return _Made(handler(row) if handler else None)


def _saved(row: EventLog, lease: str, made: _Made, is_heard: Callable[[], bool]) -> EventLog | None:
    for pause in (*_SAVE_AGAIN_AFTER, None):
        try:
            with short_transaction():
                return row if _save(row, lease, made, is_heard) else None
        except DatabaseError:
            if pause is None:
                raise
            logger.warning("The reply to event %s could not be saved yet", row.pk, exc_info=True)
            time.sleep(pause)
    return None


def _save(row: EventLog, lease: str, made: _Made, is_heard: Callable[[], bool]) -> bool:
    reply = made.reply
    rows = EventLog.objects.with_key_of(row)
    row.lease, row.leased_until = "", None
    names = (
        "status", "error", "attempts", "next_attempt_at", "processed_at", "duration_ms", "reply",
        "lease", "leased_until",
    )  # fmt: skip
    if not rows.filter(lease=lease).update(**{name: getattr(row, name) for name in names}):
        logger.warning("The reply to event %s came after its lease had ended", row.pk)
        return False
    # Take the kept answer only now: if this process is killed earlier, the next message gets it.
    if made.kept is not None and not give_kept(made.kept):
        raise _GivenElsewhere
    # Meanwhile another connection may have set KEPT and told the follower to ask again.
    row.answered_by, row.delivery_count = rows.values_list("answered_by", "delivery_count").get()
    if reply is None:
        if row.answered_by == By.KEPT and row.status == EventLog.Status.PROCESSED:
            set_columns(row, answered_by=By.NOBODY_YET)
    elif is_heard():
        take_reply(row, reply)
    elif row.answered_by == By.NOBODY_YET and timezone.now() >= tries_end(row):
        go_late(row, reply)
    elif row.answered_by == By.NOBODY_YET:
        set_columns(row, next_attempt_at=tries_end(row))
    return True


def note_failure(event: EventLog, error: Exception) -> None:
    """Sets the row's error and next attempt, or DEAD after the last attempt; saves nothing."""
    event.error = storable("".join(traceback.format_exception(error)))[-_ERROR_LENGTH:]
    if event.attempts < len(EVENT):
        event.next_attempt_at = timezone.now() + EVENT[event.attempts]
    else:
        event.status = EventLog.Status.DEAD
        event.next_attempt_at = None
    event.attempts += 1

"""Makes the reply to a stored event, and sees to it that it reaches the follower once.

Claim, run, save: two short transactions, and between them nothing is held, however long the handler
takes. WeChat pushes three times, each time waiting for settings.CALLBACK_SECONDS, so what was made
goes one of these ways, which `answered_by` says:

- a connection waits for it, or comes before the tries are over: it goes out as the reply;
- later it goes out as a customer-service message (客服消息), while the follower's window is open;
- for an account that sends none, it is kept for the follower's next message;
- otherwise it reached nobody, and operators see that.
"""

from __future__ import annotations

import datetime
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from events.db.transactions import release_connection, short_transaction
from events.delays import EVENT
from events.log.leases import claim, renewed
from events.log.registry import DEFER, early_reply_for, reply_handler_for, send_late
from events.models import EventLog, OfficialAccount
from events.wechat import Reply, TextReply, parse_reply, render, split_text
from events.wechat.api.fields import storable

__all__ = [
    "TRIES",
    "hand_over",
    "hold",
    "leave_to_worker",
    "make_answer",
    "message_settled",
    "note_failure",
    "send_what_is_late",
    "take_back",
    "tries_end",
    "written",
]

logger = logging.getLogger(__name__)

_ERROR_LENGTH = 4000
# WeChat pushes three times (callback-protocol: 总共重试三次).
TRIES = 3
# A reply was made and could not be saved: the handler is not run again for a database that is busy.
_SAVE_AGAIN_AFTER = (0.2, 1, 2)
# Seconds between two looks at a kept answer that is still being made.
_LOOK_EVERY = 0.1

By = EventLog.AnsweredBy


def tries_end(event: EventLog) -> datetime.datetime:
    """The moment after which WeChat no longer brings this push."""
    return event.received_at + datetime.timedelta(seconds=TRIES * settings.CALLBACK_SECONDS)


def written(reply: Reply | None, event: EventLog, now: datetime.datetime) -> str:
    """The XML of a reply to this event, whole; empty for none."""
    if reply is None:
        return ""
    return render(
        reply,
        to_user_name=event.from_user,
        from_user_name=event.account.original_id,
        create_time=int(now.timestamp()),
    )


def make_answer(
    event: EventLog, *, is_heard: Callable[[], bool] = lambda: False
) -> EventLog | None:
    """Asks the reply handler of a folded row that has no outcome, and keeps what it says.

    Of `event` only the key is read. Returns the row as it is then; or None when it is not such a
    row, another process is at it, or the lease ended before the handler did. `is_heard` is asked
    once there is a reply: whether a connection waits that it will be handed to at once.
    """
    row = claim(event, most_attempts=len(EVENT))
    if row is None:
        return None
    lease = row.lease
    with renewed(row):
        while True:
            made = _make(row)
            try:
                return _saved(row, lease, made, is_heard)
            except _GivenElsewhere:
                logger.info("The answer kept for event %s went another way", row.pk)


@dataclass(frozen=True, slots=True)
class _Made:
    """A reply, and the row whose kept answer it is."""

    reply: Reply | None = None
    kept: EventLog | None = None


class _GivenElsewhere(Exception):
    """Another message, or a repetition of its own push, took a kept answer first."""


def _make(row: EventLog) -> _Made:
    """Asks for the reply, and gives the row the columns of its outcome; saves nothing."""
    started = timezone.now()
    made = _Made()
    # Whatever the claim took from the pool of connections goes back before the handler runs.
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
    # What the handler used goes back too.
    release_connection()
    return made


def _reply_to(row: EventLog) -> _Made:
    if row.account.late_answers == OfficialAccount.LateAnswers.NEXT:
        kept = _kept_for(row)
        if kept is not None:
            return _Made(parse_reply(kept.reply), kept)
    # No early reply came with the row if the account keeps answers, or if the text is too long for
    # one message.
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
    # Only now: a process that is killed before leaves the kept answer to the next message.
    if made.kept is not None and not _give_kept(made.kept):
        raise _GivenElsewhere
    # A connection may meanwhile have told the follower to ask again.
    row.answered_by, row.delivery_count = rows.values_list("answered_by", "delivery_count").get()
    if reply is None:
        if row.answered_by == By.KEPT and row.status == EventLog.Status.PROCESSED:
            _set(row, answered_by=By.NOBODY_YET)
    elif is_heard():
        _take_reply(row, reply)
    elif row.answered_by == By.NOBODY_YET and timezone.now() >= tries_end(row):
        _go_late(row, reply)
    elif row.answered_by == By.NOBODY_YET:
        _set(row, next_attempt_at=tries_end(row))
    return True


def hand_over(event: EventLog) -> EventLog:
    """The row, which has its outcome; its reply counts as answered, unless it went another way.

    Call it while a connection waits that the reply can be handed to.
    """
    with short_transaction():
        rows = EventLog.objects.with_key_of(event).select_related("account")
        row = rows.select_for_update(of=("self",)).get()
        if row.reply and row.answered_by in {By.NOBODY_YET, By.KEPT, By.NONE}:
            _take_reply(row, parse_reply(row.reply))
        return row


def take_back(row: EventLog) -> None:
    """Notes that no connection took a reply that make_answer() had for one that waited.

    If WeChat has pushed again since, that push has the reply.
    """
    rows = EventLog.objects.with_key_of(row).filter(answered_by=By.REPLY)
    rows.filter(delivery_count=row.delivery_count).update(
        answered_by=By.NOBODY_YET, answered_at=None, next_attempt_at=tries_end(row)
    )


def hold(event: EventLog) -> EventLog | None:
    """Keeps the answer that is being made for the follower's next message.

    Returns None; or the row, when it has its outcome by now.
    """
    rows = EventLog.objects.with_key_of(event)
    waiting = rows.awaiting_outcome().filter(answered_by=By.NOBODY_YET)
    if waiting.update(answered_by=By.KEPT):
        return None
    row = rows.select_related("account").get()
    return None if row.awaits_outcome else row


def leave_to_worker(event: EventLog) -> None:
    """Makes a row without outcome due, unless somebody has claimed it."""
    EventLog.objects.with_key_of(event).awaiting_outcome().filter(lease="").update(
        next_attempt_at=timezone.now()
    )


def send_what_is_late(event: EventLog) -> EventLog | None:
    """Sends a reply that no try of WeChat fetched another way; None if there is none."""
    with short_transaction():
        row = (
            EventLog.objects.with_key_of(event)
            .filter(status=EventLog.Status.PROCESSED, next_attempt_at__isnull=False)
            .select_for_update(of=("self",))
            .select_related("account")
            .first()
        )
        if row is None or row.next_attempt_at is None or row.next_attempt_at > timezone.now():
            return None
        if row.answered_by == By.NOBODY_YET and row.reply:
            _go_late(row, parse_reply(row.reply))
        else:
            _set(row, next_attempt_at=None)
        return row


def message_settled(
    event_id: int, event_time: datetime.datetime, sent_at: datetime.datetime | None
) -> None:
    """Notes that the message with a late reply was sent, or with None that it never will be."""
    rows = EventLog.objects.filter(pk=event_id, event_time=event_time, answered_at=None)
    if sent_at is None:
        rows.filter(answered_by=By.MESSAGE).update(answered_by=By.NONE)
    else:
        # It may have failed before, until an operator had it sent again.
        late = rows.filter(answered_by__in=[By.MESSAGE, By.NONE])
        late.update(answered_by=By.MESSAGE, answered_at=sent_at)


def note_failure(event: EventLog, error: Exception) -> None:
    """Gives the row the error and the time of its next attempt, or gives it up; saves nothing."""
    event.error = storable("".join(traceback.format_exception(error)))[-_ERROR_LENGTH:]
    if event.attempts < len(EVENT):
        event.next_attempt_at = timezone.now() + EVENT[event.attempts]
    else:
        event.status = EventLog.Status.DEAD
        event.next_attempt_at = None
    event.attempts += 1


# --- The ways ----------------------------------------------------------------------------------


def _take_reply(row: EventLog, reply: Reply) -> None:
    is_cut = not all(_send_parts(row, _parts(reply)[1:]))
    _set(
        row,
        answered_by=By.REPLY,
        answered_at=timezone.now(),
        is_cut=is_cut,
        next_attempt_at=None,
    )


def _go_late(row: EventLog, reply: Reply) -> None:
    if row.account.late_answers == OfficialAccount.LateAnswers.NEXT:
        _set(row, answered_by=By.KEPT, next_attempt_at=None)
        return
    sent = _send_parts(row, _parts(reply))
    _set(
        row,
        answered_by=By.MESSAGE if sent[0] else By.NONE,
        is_cut=sent[0] and not all(sent),
        next_attempt_at=None,
    )


def _parts(reply: Reply) -> list[Reply]:
    """The reply in as many parts as WeChat's limit asks for."""
    if not isinstance(reply, TextReply):
        return [reply]
    return [TextReply(part) for part in split_text(reply.content)]


def _send_parts(row: EventLog, parts: list[Reply]) -> list[bool]:
    """Queues messages in this order; says of each whether it will go out."""
    if row.account.late_answers == OfficialAccount.LateAnswers.NEXT:
        return [False for _ in parts]
    sent: list[bool] = []
    for part in parts:
        # Without its middle the end is of no use.
        sent.append(all(sent) and send_late(row, part))
    return sent


def _give_kept(kept: EventLog) -> bool:
    """Notes that a kept answer goes out in reply to the next message; False if it went already."""
    rows = EventLog.objects.with_key_of(kept).filter(answered_by=By.KEPT)
    return bool(rows.update(answered_by=By.NEXT, answered_at=timezone.now()))


def _kept_for(row: EventLog) -> EventLog | None:
    """The row of the follower's oldest kept answer, once that is made; None for none."""
    if not row.openid:
        return None
    give_up_at = time.monotonic() + TRIES * settings.CALLBACK_SECONDS
    kept = EventLog.objects.kept_for(row.account_id, row.openid).exclude(pk=row.pk)
    # The next attempt at these may be hours away.
    kept = kept.exclude(status=EventLog.Status.FAILED)
    while (oldest := kept.order_by("id").first()) is not None:
        if oldest.reply:
            return oldest
        if not oldest.awaits_outcome:
            # The handler had nothing to say, or failed for good.
            EventLog.objects.with_key_of(oldest).update(answered_by=By.NONE)
            continue
        if time.monotonic() >= give_up_at:
            return None
        release_connection()
        time.sleep(_LOOK_EVERY)
    return None


def _set(row: EventLog, **columns: object) -> None:
    for name, value in columns.items():
        setattr(row, name, value)
    EventLog.objects.with_key_of(row).update(**columns)

"""Brings a reply to the follower by one of several ways, and only once.

WeChat pushes three times, and each time waits for settings.CALLBACK_SECONDS. A reply takes one of
these ways, which `answered_by` names:

- If a connection waits for it, or comes before the tries are over: as the passive reply.
- If it is later: as a customer-service message (客服消息), while the follower's window is open.
- If the account sends no such messages: it is kept for the follower's next message.
- Otherwise it reaches nobody, and operators see that.
"""

from __future__ import annotations

import datetime
import time

from django.conf import settings
from django.utils import timezone

from events.db.transactions import release_connection, short_transaction
from events.log.registry import send_late
from events.models import EventLog, OfficialAccount
from events.wechat import Reply, TextReply, parse_reply, render, split_text

__all__ = [
    "TRIES",
    "By",
    "give_kept",
    "go_late",
    "hand_over",
    "hold",
    "kept_for",
    "leave_to_worker",
    "message_settled",
    "send_what_is_late",
    "set_columns",
    "take_back",
    "take_reply",
    "tries_end",
    "written",
]

# WeChat pushes three times (callback-protocol: 总共重试三次).
TRIES = 3
# Seconds between two queries for a kept answer that is still being made.
_LOOK_EVERY = 0.1

By = EventLog.AnsweredBy


def tries_end(event: EventLog) -> datetime.datetime:
    """Returns the time after which WeChat no longer repeats this push."""
    return event.received_at + datetime.timedelta(seconds=TRIES * settings.CALLBACK_SECONDS)


def written(reply: Reply | None, event: EventLog, now: datetime.datetime) -> str:
    """Returns the XML of the whole reply to this event; "" for None."""
    if reply is None:
        return ""
    return render(
        reply,
        to_user_name=event.from_user,
        from_user_name=event.account.original_id,
        create_time=int(now.timestamp()),
    )


def hand_over(event: EventLog) -> EventLog:
    """Notes that a waiting connection takes the reply of a processed row; returns the row.

    It changes nothing if the reply has gone another way already: look at `answered_by`.
    """
    with short_transaction():
        rows = EventLog.objects.with_key_of(event).select_related("account")
        row = rows.select_for_update(of=("self",)).get()
        if row.reply and row.answered_by in {By.NOBODY_YET, By.KEPT, By.NONE}:
            take_reply(row, parse_reply(row.reply))
        return row


def take_back(row: EventLog) -> None:
    """Notes that no connection took a reply that make_answer() had meant for one.

    It changes nothing if WeChat has pushed again since: that push has the reply.
    """
    rows = EventLog.objects.with_key_of(row).filter(answered_by=By.REPLY)
    rows.filter(delivery_count=row.delivery_count).update(
        answered_by=By.NOBODY_YET, answered_at=None, next_attempt_at=tries_end(row)
    )


def hold(event: EventLog) -> EventLog | None:
    """Marks a reply that is still being made: it will be kept for the follower's next message.

    Returns None; or the row, if the reply is there by now.
    """
    rows = EventLog.objects.with_key_of(event)
    waiting = rows.awaiting_outcome().filter(answered_by=By.NOBODY_YET)
    if waiting.update(answered_by=By.KEPT):
        return None
    row = rows.select_related("account").get()
    return None if row.awaits_outcome else row


def leave_to_worker(event: EventLog) -> None:
    """Makes a row without outcome due, unless a process has claimed it."""
    EventLog.objects.with_key_of(event).awaiting_outcome().filter(lease="").update(
        next_attempt_at=timezone.now()
    )


def send_what_is_late(event: EventLog) -> EventLog | None:
    """Sends a reply that no try of WeChat fetched; returns its row, or None if nothing is due."""
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
            go_late(row, parse_reply(row.reply))
        else:
            set_columns(row, next_attempt_at=None)
        return row


def message_settled(
    event_id: int, event_time: datetime.datetime, sent_at: datetime.datetime | None
) -> None:
    """Notes when the message with a late reply was sent; None: it will never be sent."""
    rows = EventLog.objects.filter(pk=event_id, event_time=event_time, answered_at=None)
    if sent_at is None:
        rows.filter(answered_by=By.MESSAGE).update(answered_by=By.NONE)
    else:
        # With NONE the message failed first, and an operator made the worker send it again.
        late = rows.filter(answered_by__in=[By.MESSAGE, By.NONE])
        late.update(answered_by=By.MESSAGE, answered_at=sent_at)


def take_reply(row: EventLog, reply: Reply) -> None:
    """Notes that a connection takes the reply; the parts beyond the first go out as messages."""
    is_cut = not all(_send_parts(row, _parts(reply)[1:]))
    set_columns(
        row,
        answered_by=By.REPLY,
        answered_at=timezone.now(),
        is_cut=is_cut,
        next_attempt_at=None,
    )


def go_late(row: EventLog, reply: Reply) -> None:
    """Queues the reply as messages, or keeps it, for an account that sends none."""
    if row.account.late_answers == OfficialAccount.LateAnswers.NEXT:
        set_columns(row, answered_by=By.KEPT, next_attempt_at=None)
        return
    sent = _send_parts(row, _parts(reply))
    set_columns(
        row,
        answered_by=By.MESSAGE if sent[0] else By.NONE,
        is_cut=sent[0] and not all(sent),
        next_attempt_at=None,
    )


def _parts(reply: Reply) -> list[Reply]:
    """Splits a reply into parts that fit WeChat's limit for one text."""
    if not isinstance(reply, TextReply):
        return [reply]
    return [TextReply(part) for part in split_text(reply.content)]


def _send_parts(row: EventLog, parts: list[Reply]) -> list[bool]:
    """Queues the parts as messages, in order; returns for each whether it will go out."""
    if row.account.late_answers == OfficialAccount.LateAnswers.NEXT:
        return [False for _ in parts]
    sent: list[bool] = []
    for part in parts:
        # If one part fails, the parts after it are useless.
        sent.append(all(sent) and send_late(row, part))
    return sent


def give_kept(kept: EventLog) -> bool:
    """Notes that a kept answer goes out as the next message's reply; False if it went already."""
    rows = EventLog.objects.with_key_of(kept).filter(answered_by=By.KEPT)
    return bool(rows.update(answered_by=By.NEXT, answered_at=timezone.now()))


def kept_for(row: EventLog) -> EventLog | None:
    """Waits until the follower's oldest kept answer is made; returns its row, or None."""
    if not row.openid:
        return None
    give_up_at = time.monotonic() + TRIES * settings.CALLBACK_SECONDS
    kept = EventLog.objects.kept_for(row.account_id, row.openid).exclude(pk=row.pk)
    # Do not wait for a failed row, because its next attempt may be hours away.
    kept = kept.exclude(status=EventLog.Status.FAILED)
    while (oldest := kept.order_by("id").first()) is not None:
        if oldest.reply:
            return oldest
        if not oldest.awaits_outcome:
            # The handler returned no reply, or failed in all its attempts.
            EventLog.objects.with_key_of(oldest).update(answered_by=By.NONE)
            continue
        if time.monotonic() >= give_up_at:
            return None
        release_connection()
        time.sleep(_LOOK_EVERY)
    return None


def set_columns(row: EventLog, **columns: object) -> None:
    """Changes the row in memory and in the database."""
    for name, value in columns.items():
        setattr(row, name, value)
    EventLog.objects.with_key_of(row).update(**columns)

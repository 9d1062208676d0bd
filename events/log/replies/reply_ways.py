"""The ways that a reply takes to the follower, whom it reaches once.

WeChat pushes three times, each time waiting for settings.CALLBACK_SECONDS, so what was made goes
one of these ways, which `answered_by` says:

- a connection waits for it, or comes before the tries are over: it goes out as the reply;
- later it goes out as a customer-service message (客服消息), while the follower's window is open;
- for an account that sends none, it is kept for the follower's next message;
- otherwise it reached nobody, and operators see that.
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


def hand_over(event: EventLog) -> EventLog:
    """The row, which has its outcome; its reply counts as answered, unless it went another way.

    Call it while a connection waits that the reply can be handed to.
    """
    with short_transaction():
        rows = EventLog.objects.with_key_of(event).select_related("account")
        row = rows.select_for_update(of=("self",)).get()
        if row.reply and row.answered_by in {By.NOBODY_YET, By.KEPT, By.NONE}:
            take_reply(row, parse_reply(row.reply))
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
            go_late(row, parse_reply(row.reply))
        else:
            set_columns(row, next_attempt_at=None)
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


def take_reply(row: EventLog, reply: Reply) -> None:
    """Notes that a connection takes the reply; what one reply cannot hold follows as messages."""
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


def give_kept(kept: EventLog) -> bool:
    """Notes that a kept answer goes out in reply to the next message; False if it went already."""
    rows = EventLog.objects.with_key_of(kept).filter(answered_by=By.KEPT)
    return bool(rows.update(answered_by=By.NEXT, answered_at=timezone.now()))


def kept_for(row: EventLog) -> EventLog | None:
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


def set_columns(row: EventLog, **columns: object) -> None:
    """Changes the row, here and in the database."""
    for name, value in columns.items():
        setattr(row, name, value)
    EventLog.objects.with_key_of(row).update(**columns)

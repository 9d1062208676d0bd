"""Reads an authentic body into an unsaved EventLog row, whatever the body holds."""

from __future__ import annotations

import datetime
import logging

from django.conf import settings

from events.models import EventLog, OfficialAccount
from events.processing import written
from events.registry import LATER, early_reply_for, reply_handler_for
from events.wechat import Message, Unreadable, parse_message, unreadable_key

__all__ = ["FIRST_RETRY_AFTER", "read_event"]

logger = logging.getLogger(__name__)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# One push dated 2100 would hold a maximum for ever, so what is this far ahead of us is not folded.
_FURTHEST_AHEAD = datetime.timedelta(days=1)
# WeChat pushes again after 5 and after 10 seconds, and a repeated push can still answer the
# follower where a worker cannot: the worker waits until these are over.
FIRST_RETRY_AFTER = datetime.timedelta(seconds=15)


def read_event(account: OfficialAccount, body: bytes, now: datetime.datetime) -> EventLog:
    """The row for an authentic push; its status says whether it can be folded and answered."""
    event = EventLog(
        account=account,
        raw=body,
        received_at=now,
        last_delivered_at=now,
        event_time=_EPOCH,
        kind="unreadable",
        status=EventLog.Status.UNREADABLE,
    )
    try:
        message = parse_message(body)
    except Unreadable as unreadable:
        event.dedup_key = unreadable_key(body)
        event.error = str(unreadable)
        return event
    _copy(message, event)
    event.__dict__["payload"] = message.fields  # so that nobody parses it again
    reason = _reason_to_set_aside(message, event, account, now)
    if reason:
        event.status = EventLog.Status.SET_ASIDE
        event.error = reason
    else:
        _answer_early(event, now)
    return event


def _answer_early(event: EventLog, now: datetime.datetime) -> None:
    """Gives the row its outcome where that is known before it is stored."""
    if not reply_handler_for(event.kind):
        is_answered = True
    else:
        try:
            is_answered = _has_early_reply(event, now)
        except Exception:
            logger.exception("No early reply to an event of kind %s", event.kind)
            is_answered = False
    if is_answered:
        event.status = EventLog.Status.PROCESSED
        event.processed_at = now
        event.duration_ms = 0
    else:
        event.status = EventLog.Status.RECEIVED
        event.next_attempt_at = now + FIRST_RETRY_AFTER


def _has_early_reply(event: EventLog, now: datetime.datetime) -> bool:
    early = early_reply_for(event.kind)
    reply = early(event) if early else LATER
    if reply is LATER:
        return False
    event.reply = written(reply, event, now)
    return True


def _copy(message: Message, event: EventLog) -> None:
    event.dedup_key = message.dedup_key
    event.kind = message.kind
    event.openid = message.openid
    event.from_user = message.from_user_name
    event.event_time = datetime.datetime.fromtimestamp(message.create_time, datetime.UTC)
    event.event_key = message.event_key
    event.ticket = message.ticket
    # WeChat's vocabulary is open. PostgreSQL refuses a value longer than its column where SQLite
    # does not, and no push may be lost to a long word.
    event.msg_type = message.msg_type[:64]
    event.event = message.event[:64]
    event.scene = message.scene[:64]
    event.msg_id = message.msg_id[:64]


def _reason_to_set_aside(
    message: Message, event: EventLog, account: OfficialAccount, now: datetime.datetime
) -> str:
    if message.to_user_name != account.original_id:
        return (
            f"ToUserName is {message.to_user_name[:64]!r}, "
            f"but this account's original ID is {account.original_id!r}."
        )
    if event.event_time > now + _FURTHEST_AHEAD:
        return f"CreateTime lies more than a day ahead: {event.event_time:%Y-%m-%d %H:%M:%S} UTC."
    horizon = settings.EVENT_RETENTION_DAYS
    if horizon is not None and event.event_time < now - datetime.timedelta(days=horizon):
        return f"CreateTime lies before the retention horizon of {horizon} days."
    return ""

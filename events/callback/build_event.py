"""Makes an unsaved EventLog row of an authentic body, whatever the body holds."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.db.models.base import ModelState

from events import metrics
from events.db.transactions import short_transaction
from events.kinds import openid_of, scene_of
from events.log.registry import DEFER, NotYet, early_reply_for, reply_handler_for
from events.log.replies.reply_ways import tries_end
from events.log.replies.with_commit import may_fetch_kept_answer, outcome
from events.models import EventLog, OfficialAccount, PendingJudgement
from events.models.account_rules import is_original_id
from events.wechat import Message, Reply, SecurityMode, Unreadable, parse_message, unreadable_key

__all__ = ["build_event", "reason_to_quarantine"]

logger = logging.getLogger(__name__)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# A push dated further ahead is not folded: one dated 2100 would stay the latest event for ever.
_FURTHEST_AHEAD = datetime.timedelta(days=1)


def build_event(account: OfficialAccount, body: bytes, now: datetime.datetime) -> EventLog:
    """Returns the row for an authentic push. Its status says whether it may be folded."""
    received = {"raw": body, "received_at": now, "last_delivered_at": now}
    try:
        message = parse_message(body)
    except Unreadable as unreadable:
        return _row(account, received | _columns_of_unreadable(body, unreadable))
    if message.is_mended:
        metrics.mended.inc()
    event = _row(account, received | _columns(message))
    event.__dict__["payload"] = message.fields  # spares the row's readers a second parsing
    _learn_original_id(message, account)
    reason = reason_to_quarantine(message, account, received_at=now, now=now)
    if reason:
        event.status = EventLog.Status.QUARANTINED
        event.error = reason
    else:
        _answer_early(event, now)
    return event


def _learn_original_id(message: Message, account: OfficialAccount) -> None:
    """Takes the original ID from an encrypted push, which only WeChat can make, if none is set."""
    is_sealed = account.security_mode != SecurityMode.PLAINTEXT.value
    told = message.to_user_name
    if not account.original_id and is_sealed and is_original_id(told) and not message.is_mended:
        with short_transaction():
            original_id = account.learn_original_id(told)
            PendingJudgement.request(account.pk)
        account.original_id = original_id


def _answer_early(event: EventLog, now: datetime.datetime) -> None:
    """Gives the row its reply and outcome, if they are known before it is stored."""
    if may_fetch_kept_answer(event):
        is_answered = False
    elif not reply_handler_for(event.kind):
        is_answered = _is_answered(event, None, now)
    else:
        try:
            is_answered = _has_early_reply(event, now)
        except NotYet:
            is_answered = False
        except Exception:
            logger.exception("No early reply to an event of kind %s", event.kind)
            is_answered = False
    if not is_answered:
        event.status = EventLog.Status.RECEIVED
        # The answers to WeChat's next tries can be passive replies, which the worker cannot send.
        # So the worker waits until these tries are over.
        event.next_attempt_at = tries_end(event)


def _has_early_reply(event: EventLog, now: datetime.datetime) -> bool:
    early = early_reply_for(event.kind)
    reply = early(event) if early else DEFER
    return reply is not DEFER and _is_answered(event, reply, now)


def _is_answered(event: EventLog, reply: Reply | None, now: datetime.datetime) -> bool:
    columns = outcome(event, reply, now)
    if columns is None:
        return False
    event.__dict__.update(columns)
    return True


_DEFAULTS = {field.attname: field.get_default() for field in EventLog._meta.concrete_fields}


def _row(account: OfficialAccount, columns: dict[str, Any]) -> EventLog:
    """Makes the same row as EventLog(), whose call takes as long as reading the push."""
    event = EventLog.__new__(EventLog)
    event._state = ModelState()
    event._state.fields_cache["account"] = account
    event.__dict__.update(_DEFAULTS, account_id=account.pk, **columns)
    return event


def _columns_of_unreadable(body: bytes, reason: Unreadable) -> dict[str, Any]:
    return {
        "dedup_key": unreadable_key(body),
        "kind": "unreadable",
        "event_time": _EPOCH,
        "status": EventLog.Status.UNREADABLE,
        "error": str(reason),
    }


def _columns(message: Message) -> dict[str, Any]:
    return {
        "dedup_key": message.dedup_key,
        "kind": message.kind,
        "openid": openid_of(message),
        "from_user": message.from_user_name,
        "event_time": _moment_of(message),
        "event_key": message.event_key,
        "ticket": message.ticket,
        # WeChat may send new, longer words. PostgreSQL refuses a value that is longer than its
        # column, SQLite does not, and the site must not lose a push for that.
        "msg_type": message.msg_type[:64],
        "event": message.event[:64],
        "scene": scene_of(message)[:64],
        "msg_id": message.msg_id[:64],
        "mended": message.is_mended,
    }


def reason_to_quarantine(
    message: Message,
    account: OfficialAccount,
    *,
    received_at: datetime.datetime,
    now: datetime.datetime,
) -> str:
    """Returns why a push must not be folded, or "" if it may.

    The result depends on the account's original ID and on the retention time in the settings.
    """
    if not account.original_id:
        return f"ToUserName is {message.to_user_name[:64]!r}; this account has no original ID yet."
    if message.to_user_name != account.original_id:
        return (
            f"ToUserName is {message.to_user_name[:64]!r}, "
            f"but this account's original ID is {account.original_id!r}."
        )
    happened = _moment_of(message)
    if happened > received_at + _FURTHEST_AHEAD:
        return f"CreateTime lies more than a day ahead: {happened:%Y-%m-%d %H:%M:%S} UTC."
    horizon = settings.EVENT_RETENTION_DAYS
    if horizon is not None and happened < now - datetime.timedelta(days=horizon):
        return f"CreateTime lies before the retention horizon of {horizon} days."
    return ""


def _moment_of(message: Message) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(message.create_time, datetime.UTC)

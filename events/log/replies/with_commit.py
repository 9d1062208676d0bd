"""Replies that are stored in the transaction that stores their events, and go out with its commit.

They take no claim, no thread and no second transaction, which cost a push twenty times its storing.
A reply is known before its event is stored, or once that is folded; the connection that brought the
push waits for it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from typing import Any, TypeAlias

from django.db import transaction
from django.db.models import Case, TextField, Value, When
from django.utils import timezone

from events.log.registry import DEFER, fold_replies_for
from events.log.replies.reply_ways import written
from events.models import EventLog, OfficialAccount
from events.wechat import Reply

__all__ = ["answer_folded", "may_fetch_kept_answer", "outcome"]

logger = logging.getLogger(__name__)

Columns: TypeAlias = dict[str, Any]

# Taps that WeChat lets an account answer, besides messages.
_ASKING = frozenset({"event.click", "event.scan"})
# Bytes of a reply's XML that is surely one message; a longer one takes the general way.
_SURELY_ONE_MESSAGE = 2048


def may_fetch_kept_answer(event: EventLog) -> bool:
    """Whether this is a message in answer to an account's "reply to see the result"."""
    keeps = event.account.late_answers == OfficialAccount.LateAnswers.NEXT
    is_message = "." not in event.kind
    return keeps and bool(event.openid) and (is_message or event.kind in _ASKING)


def outcome(event: EventLog, reply: Reply | None, now: datetime.datetime) -> Columns | None:
    """The columns of a row with this reply; None if that is too long for one message."""
    xml = written(reply, event, now)
    if len(xml.encode()) > _SURELY_ONE_MESSAGE:
        return None
    columns: Columns = {
        "status": EventLog.Status.PROCESSED,
        "processed_at": now,
        "duration_ms": 0,
        "next_attempt_at": None,
    }
    if reply is not None:
        # The connection that brings it waits, and gets it with the commit.
        columns |= {
            "reply": xml,
            "answered_by": EventLog.AnsweredBy.REPLY,
            "answered_at": now,
        }
    return columns


def answer_folded(events: Sequence[EventLog]) -> list[tuple[EventLog, Columns]]:
    """Answers rows that were stored and folded in this transaction, where their handlers can.

    A connection must wait for the reply to each. What cannot be answered here is left to the
    general way. Returns what to set on which event once the transaction is committed.
    """
    answered: list[tuple[EventLog, Columns]] = []
    by_kind: dict[str, list[EventLog]] = {}
    for event in events:
        if event.status == EventLog.Status.RECEIVED and event.folded_at is not None:
            by_kind.setdefault(event.kind, []).append(event)
    for kind, rows in by_kind.items():
        replies_to = fold_replies_for(kind)
        waiting = [row for row in rows if replies_to and not may_fetch_kept_answer(row)]
        if replies_to is None or not waiting:
            continue
        try:
            with transaction.atomic():
                replies = replies_to(waiting)
        except Exception:
            logger.exception("%s events of kind %s are answered one by one", len(waiting), kind)
            continue
        now = timezone.now()
        for row, reply in zip(waiting, replies, strict=True):
            if reply is not DEFER and (columns := outcome(row, reply, now)) is not None:
                answered.append((row, columns))
    _save([(row, columns) for row, columns in answered if "reply" in columns])
    _save([(row, columns) for row, columns in answered if "reply" not in columns])
    return answered


def _save(answered: Sequence[tuple[EventLog, Columns]]) -> None:
    """Saves outcomes in one statement, that of the first for all, but to each its own reply."""
    if not answered:
        return
    columns = dict(answered[0][1])
    if "reply" in columns:
        texts = (When(pk=row.pk, then=Value(own["reply"])) for row, own in answered)
        columns["reply"] = Case(*texts, output_field=TextField())
    # The times lead PostgreSQL to the months.
    rows = [row for row, _ in answered]
    EventLog.objects.filter(
        pk__in=[row.pk for row in rows], event_time__in={row.event_time for row in rows}
    ).update(**columns)

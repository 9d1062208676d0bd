"""Stores replies in the transaction that stores their events; they go out after its commit.

Such a reply needs no claim, no thread and no second transaction, which together cost twenty times
as much as storing the push. The reply is known before its event is stored, or right after the fold.
The connection that brought the push waits for it.
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

# Besides messages, WeChat lets an account answer these taps.
_ASKING = frozenset({"event.click", "event.scan"})
# A reply whose XML has up to this many bytes surely fits one message. A longer one takes the
# general way.
_SURELY_ONE_MESSAGE = 2048


def may_fetch_kept_answer(event: EventLog) -> bool:
    """Whether the follower's message may ask for an answer that the account has kept."""
    keeps = event.account.late_answers == OfficialAccount.LateAnswers.NEXT
    is_message = "." not in event.kind
    return keeps and bool(event.openid) and (is_message or event.kind in _ASKING)


def outcome(event: EventLog, reply: Reply | None, now: datetime.datetime) -> Columns | None:
    """Returns a row's columns with this reply; None if it may be too long for one message."""
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
        # The connection that brought the push waits, and gets the reply after the commit.
        columns |= {
            "reply": xml,
            "answered_by": EventLog.AnsweredBy.REPLY,
            "answered_at": now,
        }
    return columns


def answer_folded(events: Sequence[EventLog]) -> list[tuple[EventLog, Columns]]:
    """Answers rows that this transaction stored and folded, if their handlers have `with_fold`.

    A connection must wait for the reply to each. Other rows take the general way. Returns events
    with the columns to set on them after the commit.
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
    """Saves the outcomes in one statement: all columns of the first, but each row's own reply."""
    if not answered:
        return
    columns = dict(answered[0][1])
    if "reply" in columns:
        texts = (When(pk=row.pk, then=Value(own["reply"])) for row, own in answered)
        columns["reply"] = Case(*texts, output_field=TextField())
    # With the times PostgreSQL reads only the partitions of these months.
    rows = [row for row, _ in answered]
    EventLog.objects.filter(
        pk__in=[row.pk for row in rows], event_time__in={row.event_time for row in rows}
    ).update(**columns)

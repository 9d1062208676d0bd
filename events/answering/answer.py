"""Answers followers from the rules that operators published."""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.db import connection, transaction
from django.utils import timezone

from events.account_cache import live_rules
from events.answering.people_slot import follower_of
from events.db.upsert import Upsert
from events.log.messages import NotDeliverable, send_message
from events.log.registry import InStatement, NotYet, projection, reply_handler
from events.media.lend import is_at_wechat, with_media_id
from events.models import EventLog, RuleHit
from events.rules.data import EVENT_KINDS, MESSAGE_KINDS, On
from events.rules.decide import Incoming, NeedsFollower
from events.rules.rule_answers import Said, as_message, needs_follower, needs_messages, said
from events.wechat import ImageReply, MusicReply, Reply, VideoReply, VoiceReply

__all__ = ["KEPT", "forget_old_hits", "incoming_of", "note_early_replies", "reply_by_rule"]

# Hits are kept as long as unanswered texts.
KEPT = datetime.timedelta(days=100)
# Seconds. A message that follows the reply waits, so that it does not arrive first.
_AFTER_REPLY = 1
# The attribute of an unsaved row that holds the id of the rule that answers it.
_WON_BY = "won_by_rule"

_KINDS = tuple(dict.fromkeys(kind for kinds in EVENT_KINDS.values() for kind in kinds))
_OWN_HANDLER = ("event.click", "text")
# Follows and scans are not here: the app that binds followers to users has a handler for them.
_GIVE_WAY = tuple(
    kind for kind in (*MESSAGE_KINDS, *EVENT_KINDS[On.MENU]) if kind not in _OWN_HANDLER
)


def incoming_of(event: EventLog) -> Incoming:
    """Returns the event as plain data for rules, with its time by the account's clock."""
    payload = event.payload or {}
    heard = payload.get("Recognition" if event.kind == "voice" else "Content", "")
    is_tap = event.kind in EVENT_KINDS[On.MENU]
    return Incoming(
        kind=event.kind,
        at=event.event_time.astimezone(event.account.zone).replace(tzinfo=None),
        key=event.event_key if is_tap else event.scene,
        text=heard if isinstance(heard, str) else "",
        seed=event.dedup_key,
    )


def reply_by_rule(event: EventLog) -> Reply | None:
    """Returns the reply of the account's first rule that fits.

    It queues the messages that follow the reply, once for each event. If the event is not stored
    yet, it raises NotYet if the answer depends on the follower, or needs more than one reply.
    """
    rules = live_rules(event.account_id)
    if rules is None or not rules.concerns(event.kind):
        return None
    incoming = incoming_of(event)
    is_stored = event.pk is not None
    follower = None
    try:
        rule = rules.winner(incoming, None)
    except NeedsFollower:
        if not is_stored:
            raise NotYet from None
        follower = follower_of(event)
        rule = rules.winner(incoming, follower)
    if rule is None:
        return None
    if not is_stored:
        if needs_follower(rule) or needs_messages(rule):
            raise NotYet
        answer = _with_media(event, said(rule, incoming, None))
        if answer.messages:
            raise NotYet
        event.__dict__[_WON_BY] = rule.id
        return answer.reply
    if follower is None and needs_follower(rule):
        follower = follower_of(event)
    answer = _with_media(event, said(rule, incoming, follower))
    _note(event, rule.id, answer)
    return answer.reply


def _with_media(event: EventLog, answer: Said) -> Said:
    """Puts the file's media_id into the reply; a file that WeChat lacks goes out as a message."""
    reply = answer.reply
    if not isinstance(reply, ImageReply | VoiceReply | VideoReply | MusicReply):
        return answer
    sendable = with_media_id(reply, event.account)
    if is_at_wechat(sendable):
        return replace(answer, reply=sendable)
    return Said(None, ((0, as_message(reply)), *answer.messages))


@reply_handler(*_OWN_HANDLER, early=reply_by_rule)
def answer_by_rule(event: EventLog) -> Reply | None:
    return reply_by_rule(event)


@reply_handler(*_GIVE_WAY, early=reply_by_rule, gives_way=True)
def answer_any_by_rule(event: EventLog) -> Reply | None:
    return reply_by_rule(event)


def _note(event: EventLog, rule_id: int, answer: Said) -> None:
    """Counts the answer to a stored event and queues its messages, but only the first time."""
    with transaction.atomic():
        _hit, is_new = RuleHit.objects.get_or_create(
            event_id=event.pk, defaults={"event_time": event.event_time, "rule_id": rule_id}
        )
        if not is_new:
            return
        is_sent = False
        least = 0 if answer.reply is None else _AFTER_REPLY
        for delay, message in answer.messages:
            with contextlib.suppress(NotDeliverable):
                send_message(event, message, after=max(delay, least))
                is_sent = True
        if is_sent and answer.reply is None:
            rows = EventLog.objects.with_key_of(event)
            rows.filter(answered_by=EventLog.AnsweredBy.NOBODY_YET).update(
                answered_by=EventLog.AnsweredBy.MESSAGE
            )


def _count_early(events: Sequence[EventLog]) -> None:
    """Counts the answers that were known before their events were stored."""
    note_early_replies([event for event in events if event.status == EventLog.Status.PROCESSED])


def note_early_replies(events: Sequence[EventLog]) -> None:
    """Counts the answers that reply_by_rule() gave these events before they were stored."""
    hits = [
        (event.pk, event.event_time, event.__dict__[_WON_BY])
        for event in events
        if _WON_BY in event.__dict__
    ]
    if hits:
        # Django's bulk_create takes longer than all other writes of a push.
        _hit_upsert().execute(connection, hits)


@functools.cache
def _hit_upsert() -> Upsert:
    return Upsert(RuleHit, key=["event_id"], values=["event_time", "rule_id"], update={})


def _won_by(event: EventLog) -> Mapping[str, int] | None:
    if event.status != EventLog.Status.PROCESSED:
        return None
    return {_WON_BY: event.__dict__[_WON_BY]}


_COUNT_IN_STATEMENT = InStatement(
    columns=lambda: {_WON_BY: "bigint"},
    values=_won_by,
    row=lambda event: (event.account_id, event.event_time, event.dedup_key),
    sql=lambda: (
        f"INSERT INTO {RuleHit._meta.db_table} (event_id, event_time, rule_id) "
        f"SELECT id, event_time, {_WON_BY} FROM new WHERE {_WON_BY} IS NOT NULL "
        "ORDER BY id ON CONFLICT DO NOTHING"
    ),
)


@projection(
    *_KINDS,
    batch=_count_early,
    in_statement=_COUNT_IN_STATEMENT,
    leaves=lambda event: _WON_BY not in event.__dict__,
)
def count_early(event: EventLog) -> None:
    _count_early([event])


def forget_old_hits() -> int:
    """Removes hits older than 100 days; returns how many."""
    return RuleHit.objects.filter(event_time__lt=timezone.now() - KEPT).delete()[0]

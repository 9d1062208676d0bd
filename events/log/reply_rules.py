"""Answers followers from the rules that operators wrote."""

from __future__ import annotations

from events.account_cache import rule_content
from events.log.registry import reply_handler
from events.models import EventLog, ReplyRule
from events.wechat import TextReply

__all__ = ["reply_by_rule"]


def reply_by_rule(event: EventLog) -> TextReply | None:
    """The reply of the account's active rule for this event's key, or of its rule without a key."""
    content = rule_content(event.account_id, event.kind, _key_of(event))
    return TextReply(content) if content else None


@reply_handler(ReplyRule.Trigger.CLICK, ReplyRule.Trigger.TEXT, early=reply_by_rule)
def answer_by_rule(event: EventLog) -> TextReply | None:
    return reply_by_rule(event)


def _key_of(event: EventLog) -> str:
    match event.kind:
        case ReplyRule.Trigger.CLICK:
            return event.event_key
        case ReplyRule.Trigger.TEXT:
            content = (event.payload or {}).get("Content", "")
            return content if isinstance(content, str) else ""
        case _:
            return event.scene

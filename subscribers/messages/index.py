"""Puts the words of messages to followers into the index of the search (events/search)."""

from __future__ import annotations

from collections.abc import Iterable

from events.models import MessageText
from events.search.index import Text, put
from subscribers.messages.conversation import summary
from subscribers.models import OutgoingMessage

__all__ = ["index_messages"]

_WITH_WORDS = ("text", "news", "msgmenu")


def index_messages(messages: Iterable[OutgoingMessage]) -> None:
    """Indexes the words of messages that were sent."""
    put(
        [
            Text(
                message.account_id,
                MessageText.Said.MESSAGE.value,
                message.pk,
                message.sent_at or message.created_at,
                message.subscriber.openid,
                summary(message),
            )
            for message in messages
            if message.kind in _WITH_WORDS and message.payload
        ]
    )

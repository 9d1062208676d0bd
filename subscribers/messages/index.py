"""Puts the words of messages to followers into the index of the search (events/search)."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from events.models import MessageText
from events.search.index import Text, put
from subscribers.messages.conversation import summary
from subscribers.models import OutgoingMessage, Subscriber

__all__ = ["index_messages"]

_WITH_WORDS = ("text", "news", "msgmenu")


def index_messages(messages: Sequence[OutgoingMessage]) -> None:
    """Indexes the words of messages that were sent, unless their follower was erased meanwhile."""
    with transaction.atomic():
        # The locks keep an erasure out, which removes all texts of its person.
        people = Subscriber.objects.filter(pk__in={message.subscriber_id for message in messages})
        held = people.filter(erased_at=None).held().in_order()
        openids = {person.pk: person.openid for person in held}
        put(
            [
                Text(
                    message.account_id,
                    MessageText.Said.MESSAGE.value,
                    message.pk,
                    message.sent_at or message.created_at,
                    openids[message.subscriber_id],
                    summary(message),
                )
                for message in messages
                if message.kind in _WITH_WORDS
                and message.payload
                and message.subscriber_id in openids
            ]
        )

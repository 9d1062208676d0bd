"""Finds who waits for an answer: followers whose last messages nobody has answered."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Exists, Min, OuterRef

from events.models import UnansweredEvent
from events.stats.series import MESSAGE_KINDS
from subscribers.models import OutgoingMessage, Subscriber

__all__ = ["Conversation", "waiting_conversations"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A follower who has waited for an answer since `since`, and wrote `messages` meanwhile."""

    account_id: int
    openid: str
    subscriber_id: int
    since: datetime.datetime
    messages: int


def waiting_conversations(
    account_ids: Sequence[int], now: datetime.datetime, *, limit: int
) -> list[Conversation]:
    """Who may still be answered, follows and got no answer; the longest waiting first.

    After a message, the account may write to its sender for as long as MESSAGE_WINDOWS says.
    A customer-service message that did not fail answers everything before it.
    """
    _, seconds = settings.MESSAGE_WINDOWS["message"]
    person = Subscriber.objects.filter(
        account=OuterRef("account"), openid=OuterRef("openid"), is_following=True
    )
    answer = OutgoingMessage.objects.filter(
        account=OuterRef("account"),
        subscriber__openid=OuterRef("openid"),
        created_at__gte=OuterRef("event_time"),
    ).exclude(state=OutgoingMessage.State.FAILED)
    rows = list(
        UnansweredEvent.objects.filter(
            Exists(person),
            ~Exists(answer),
            account__in=account_ids,
            event_time__gt=now - datetime.timedelta(seconds=seconds),
            kind__in=MESSAGE_KINDS,
        )
        .order_by()
        .values_list("account", "openid")
        .annotate(since=Min("event_time"), messages=Count("pk"))
        .order_by("since")[:limit]
    )
    ids = {
        (account_id, openid): pk
        for pk, account_id, openid in Subscriber.objects.filter(
            account__in={row[0] for row in rows}, openid__in=[row[1] for row in rows]
        ).values_list("pk", "account", "openid")
    }
    return [
        Conversation(account_id, openid, ids[account_id, openid], since, messages)
        for account_id, openid, since, messages in rows
        if (account_id, openid) in ids
    ]

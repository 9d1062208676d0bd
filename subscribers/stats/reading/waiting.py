"""Finds followers who wait for an answer, because nobody has answered their last messages."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, Min, OuterRef, QuerySet

from events.kinds import window_length
from events.models import UnansweredEvent
from events.stats.series import MESSAGE_KINDS
from subscribers.models import OutgoingMessage, Subscriber

__all__ = ["WaitingFollower", "waiting_followers"]

# Account, OpenID, since when, how many messages.
_Row = tuple[int, str, datetime.datetime, int]


@dataclass(frozen=True, slots=True)
class WaitingFollower:
    """A follower who has waited for an answer since `since`, and wrote `messages` meanwhile."""

    account_id: int
    openid: str
    subscriber_id: int
    since: datetime.datetime
    messages: int


def waiting_followers(
    account_ids: Sequence[int], now: datetime.datetime, *, limit: int
) -> list[WaitingFollower]:
    """Finds followers who got no answer and may still get one, the longest waiting first.

    People who have left are not among them.

    After a message, the account may write to its sender for as long as MESSAGE_WINDOWS says.
    A customer-service message that did not fail answers everything before it.
    """
    asking = _asking(account_ids, now)
    found: list[WaitingFollower] = []
    # Reads in portions: in one query, PostgreSQL would read all followers to see who follows.
    start, end = 0, 2 * limit
    while True:
        rows = list(asking[start:end])
        ids = _followers(rows)
        found += [
            WaitingFollower(account_id, openid, ids[account_id, openid], since, messages)
            for account_id, openid, since, messages in rows
            if (account_id, openid) in ids
        ]
        if len(found) >= limit or len(rows) < end - start:
            return found[:limit]
        start, end = end, 4 * end


def _asking(account_ids: Sequence[int], now: datetime.datetime) -> QuerySet[Any, _Row]:
    """Rows for people whose messages got no answer; who has waited longest is first."""
    answer = OutgoingMessage.objects.filter(
        account=OuterRef("account"),
        subscriber__openid=OuterRef("openid"),
        created_at__gte=OuterRef("event_time"),
    ).exclude(state=OutgoingMessage.State.FAILED)
    return (
        UnansweredEvent.objects.filter(
            ~Exists(answer),
            account__in=account_ids,
            event_time__gt=now - window_length("message"),
            kind__in=MESSAGE_KINDS,
        )
        .order_by()
        .values_list("account", "openid")
        .annotate(since=Min("event_time"), messages=Count("pk"))
        .order_by("since", "account", "openid")
    )


def _followers(rows: Sequence[_Row]) -> dict[tuple[int, str], int]:
    """The ids of the rows' people who follow now, by account and OpenID."""
    followers = Subscriber.objects.filter(
        account__in={row[0] for row in rows}, openid__in=[row[1] for row in rows], is_following=True
    )
    return {
        (account_id, openid): pk
        for pk, account_id, openid in followers.values_list("pk", "account", "openid")
    }

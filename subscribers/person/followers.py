"""Finds one person under several accounts, by the UnionID that their followers share.

WeChat gives one UnionID for all accounts that a company has joined on its open platform
(微信开放平台).
"""

from __future__ import annotations

from typing import Any

from events.models import ACCOUNT_SECRETS
from events.viewer import visible_to
from subscribers.models import Subscriber
from subscribers.models.binding import with_bound_user

__all__ = ["followers_of_person"]

# More accounts than any company has joined; the limit only keeps the page finite.
_MOST_ACCOUNTS = 50


def followers_of_person(subscriber: Subscriber, *, seen_by: Any) -> list[Subscriber]:
    """This follower, then the same person under the other accounts that this user may see."""
    if not subscriber.unionid:
        return [subscriber]
    others = with_bound_user(Subscriber.objects.filter(unionid=subscriber.unionid))
    others = others.exclude(pk=subscriber.pk).select_related("account")
    others = others.defer(*(f"account__{name}" for name in ACCOUNT_SECRETS))
    visible = visible_to(seen_by, others).order_by("account__name", "pk")
    return [subscriber, *visible[:_MOST_ACCOUNTS]]

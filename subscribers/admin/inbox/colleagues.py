"""Which colleagues may take a conversation, and which of them look at it now."""

from __future__ import annotations

import datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest

from subscribers.models import Conversation, ConversationLook

__all__ = ["agents_of", "others_at", "signed_in"]

# The page polls. A user's look is stored at most every ten seconds, and counts for thirty.
_LOOK_EVERY, _LOOK_LASTS = datetime.timedelta(seconds=10), datetime.timedelta(seconds=30)
_MOST_AGENTS = 50


def signed_in(request: HttpRequest) -> User:
    """The user of the request, who is signed in on every page of the admin."""
    assert isinstance(request.user, User)
    return request.user


def agents_of(request: HttpRequest, conversation: Conversation) -> list[User]:
    """The users to whom the conversation can be given.

    These are its present agent, the user of the request, and users who have looked at one of the
    account's conversations, if they still have the right to it and may see the account.
    """
    looks = ConversationLook.objects.filter(conversation__account=conversation.account_id)
    able = User.objects.with_perm("subscribers.change_conversation").filter(
        Q(is_superuser=True)
        | Q(account_limit=None)
        | Q(account_limit__accounts=conversation.account_id),
        pk__in=looks.values("user"),
    )
    found = {user.pk: user for user in able[:_MOST_AGENTS]}
    for user in (signed_in(request), conversation.assigned_to):
        if user is not None:
            found[user.pk] = user
    return sorted(found.values(), key=lambda user: user.get_username())


def others_at(
    request: HttpRequest, conversation: Conversation, now: datetime.datetime
) -> list[str]:
    """Stores that the user looks at the conversation; returns the names of others who do so now."""
    looks = {look.user_id: look for look in conversation.looks.select_related("user")}
    user = signed_in(request)
    own = looks.pop(user.pk, None)
    if own is None or own.at < now - _LOOK_EVERY:
        ConversationLook.objects.bulk_create(
            [ConversationLook(conversation=conversation, user=user, at=now)],
            update_conflicts=True,
            unique_fields=["conversation", "user"],
            update_fields=["at"],
        )
    return [look.user.get_username() for look in looks.values() if look.at > now - _LOOK_LASTS]

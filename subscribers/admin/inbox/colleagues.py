"""Colleagues at a conversation: who may have it, and who looks at it now."""

from __future__ import annotations

import datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest

from subscribers.models import Conversation, ConversationLook

__all__ = ["agents_of", "others_at", "signed_in"]

# The page polls, so a look is written at most once in ten seconds; after thirty it has ended.
_LOOK_EVERY, _LOOK_LASTS = datetime.timedelta(seconds=10), datetime.timedelta(seconds=30)
_MOST_AGENTS = 50


def signed_in(request: HttpRequest) -> User:
    """The user of the request, who is signed in on every page of the admin."""
    assert isinstance(request.user, User)
    return request.user


def agents_of(request: HttpRequest, conversation: Conversation) -> list[User]:
    """Who may take the conversation: users who looked at the account's, its holder, this user.

    Users who have lost the right to it, or the account, are left out.
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
    """Notes that the user looks at it, and returns the names of others who look at it now."""
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

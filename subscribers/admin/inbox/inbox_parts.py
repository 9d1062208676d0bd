"""Prepares rows, conversations and facts of the inbox for its templates."""

from __future__ import annotations

import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.timesince import timeuntil
from django.utils.translation import gettext_lazy as _

from events.admin.html import moment
from events.binding_scenes import mask_codes
from events.kinds import label
from events.viewer import may_see_openids, shown_openid
from subscribers.admin.followers.latest_events import latest_events
from subscribers.admin.messages.conversation_page import shown_utterances
from subscribers.messages.conversation import conversation_with
from subscribers.models import Binding, Conversation, Subscriber
from subscribers.qr_codes.code_names import CodeNames
from subscribers.tagging.tag_names import tag_names, tags_of

__all__ = ["facts_of", "name_of_follower", "row_of", "said_in"]

_LENGTH = 50
_LATEST = 30
_SHORT = 6


def name_of_follower(subscriber: Subscriber) -> str:
    """The remark or the end of the OpenID; masked for users who may not see OpenIDs."""
    if may_see_openids():
        return subscriber.remark or f"…{subscriber.openid[-_SHORT:]}"
    return shown_openid(subscriber.openid)


def row_of(
    conversation: Conversation, now: datetime.datetime, opened: int | None
) -> dict[str, Any]:
    """One line of the list."""
    kind = conversation.last_kind
    text = mask_codes(conversation.last_text, conversation.last_at, now=now)
    if kind and kind != "text":
        text = f"[{label(kind)}] {text}".strip()
    until = conversation.window_until
    left = ""
    if until is not None and until > now and conversation.subscriber.is_following:
        left = timeuntil(until, now, depth=1)
    return {
        "pk": conversation.pk,
        "name": name_of_follower(conversation.subscriber),
        "account": conversation.account.name,
        "text": text,
        "is_ours": not kind,
        "waits": conversation.waiting_since is not None,
        "left": left,
        "has": conversation.assigned_to.get_username() if conversation.assigned_to else "",
        "is_done": conversation.is_done,
        "is_open": conversation.pk == opened,
        "url": reverse("admin:subscribers_conversation_change", args=[conversation.pk]),
    }


def said_in(conversation: Conversation) -> list[dict[str, Any]]:
    """The messages and notes of a conversation, oldest first."""
    subscriber = conversation.subscriber
    said = conversation_with(subscriber, length=_LENGTH)
    shown = shown_utterances(said, subscriber)
    lines = [(each.at, line) for each, line in zip(said, shown, strict=True)]
    notes = conversation.notes.select_related("written_by").order_by("-pk")[:_LENGTH]
    lines += [
        (
            note.at,
            {
                "said_by": "colleague",
                "at": moment(note.at, conversation.account),
                "text": note.text,
                "key": f"n{note.pk}",
                "note_by": note.written_by.get_username() if note.written_by else "–",
            },
        )
        for note in notes
    ]
    return [line for _at, line in sorted(lines, key=lambda each: each[0])]


def facts_of(request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
    """Who the follower is, and what they did lately."""
    subscriber, account = conversation.subscriber, conversation.account
    codes = CodeNames([account.pk], [subscriber.first_scene])
    first_code = codes.of(account.pk, subscriber.first_scene) or subscriber.first_scene
    rows: list[tuple[Any, Any]] = [
        (_("status"), subscriber.follow_status),
        ("OpenID", shown_openid(subscriber.openid)),
        (_("Official Account"), account.name),
        (_("first followed"), moment(subscriber.first_followed_at, account)),
        (_("last followed"), moment(subscriber.last_followed_at, account)),
        (_("last seen"), moment(subscriber.last_seen_at, account)),
        (_("first channel"), first_code or "–"),
        (_("tags (标签)"), ", ".join(_tags(subscriber)) or "–"),
    ]
    if request.user.has_perm("subscribers.view_binding"):
        binding = (
            Binding.objects.active().filter(subscriber=subscriber).select_related("user").first()
        )
        bound = binding.user.get_username() if binding and binding.user else "–"
        rows.append((_("bound user"), bound))
    return {
        "rows": rows,
        "page": reverse("admin:subscribers_subscriber_change", args=[subscriber.pk]),
        "events": latest_events(subscriber, _LATEST),
    }


def _tags(subscriber: Subscriber) -> list[str]:
    names = tag_names([subscriber.account_id]) if subscriber.tag_ids else {}
    return tags_of(subscriber, names)

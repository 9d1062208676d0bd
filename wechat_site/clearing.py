"""The worker's tasks that remove or empty rows which are older than the site keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.answering.answer import forget_old_hits
from events.callback.refusals import forget_refusals
from events.jobs.task import Task
from events.log.row_changes import forget_old_changes
from events.models import IdempotentRequest
from events.retention.bodies import empty_bodies
from events.retention.forget_entries import forget_old_entries
from events.retention.prune import prune
from events.search.fill import forget_old_texts
from events.stats.counting.removal import forget_unseen
from subscribers.inbox.keep import empty_conversations
from subscribers.inbox.media import remove_old_media
from subscribers.messages.empty import empty_messages
from subscribers.segments.export import remove_expired
from subscribers.webhooks.personal_deliveries import forget_old_messages
from wechat_site.openid.tokens import forget_expired_tokens

__all__ = ["CLEARING"]


def _clear_statistics() -> int:
    return forget_unseen() + forget_refusals(timezone.now())


CLEARING: Sequence[Task] = (
    Task(
        "received media to remove",
        remove_old_media,
        every=3600,
        title=_("files of messages past their time"),
    ),
    Task(
        "exports to remove",
        remove_expired,
        every=600,
        quick=True,
        title=_("exports past their time"),
    ),
    Task(
        "statistics to clear",
        _clear_statistics,
        every=24 * 3600,
        title=_("people whom statistics saw last months ago"),
    ),
    Task(
        "webhooks to forget",
        forget_old_messages,
        every=3600,
        title=_("deliveries to webhooks past their time"),
    ),
    Task(
        "changes to forget",
        forget_old_changes,
        every=3600,
        title=_("notes of changes that every reader has seen"),
    ),
    Task(
        "answered POSTs",
        IdempotentRequest.objects.forget_old,
        every=3600,
        title=_("answers to POSTs with an Idempotency-Key, after a day"),
    ),
    Task(
        "texts to forget",
        forget_old_texts,
        every=3600,
        title=_("texts of the search past their time"),
    ),
    Task("bodies", empty_bodies, every=3600, title=_("bodies of events past their time")),
    Task(
        "conversations to empty",
        empty_conversations,
        every=3600,
        title=_("last sentences of conversations past their time"),
    ),
    Task("texts", empty_messages, every=3600, title=_("texts of messages past their time")),
    Task(
        "audit entries",
        forget_old_entries,
        every=24 * 3600,
        title=_("audit entries past their time"),
    ),
    Task(
        "application tokens",
        forget_expired_tokens,
        every=24 * 3600,
        title=_("tokens of other applications past their time"),
    ),
    Task(
        "rule hits",
        forget_old_hits,
        every=24 * 3600,
        title=_("notes of which rule answered, after 100 days"),
    ),
    # Several times a day, so that a month whose removal failed is soon tried again.
    Task(
        "retention",
        prune,
        every=6 * 3600,
        title=_("months past retention"),
    ),
)

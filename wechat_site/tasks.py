"""The table of the worker's tasks: what runs in the background, and how often.

`manage.py worker` runs it in threads of one process (events/jobs/runner.py); with a broker, Celery
calls the same functions (wechat_site/celery.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.alerts.send import FAILURES as ALERT_FAILURES
from events.alerts.send import send_messages
from events.alerts.watch import watch
from events.answering.answer import forget_old_hits
from events.callback.judge_again import judge_pending
from events.callback.refusals import forget_refusals
from events.jobs.queues import EventQueue, JobQueue
from events.jobs.task import Task
from events.log.changes import forget_old_changes
from events.log.process import process_due
from events.log.reply_pool import ReplyPool
from events.menus.publish import look_at_menus, look_regularly, publish_menus
from events.models import AlertMessage, IdempotentRequest, LiveMenu, MenuVersion
from events.retention.audit import forget_old_entries
from events.retention.bodies import empty_bodies
from events.retention.partitions import make_partitions_ahead
from events.retention.prune import prune
from events.search.fill import forget_old_texts, index_texts
from events.stats.removal import forget_unseen
from events.stats.update import update_statistics
from subscribers.binding.bind import end_expired_requests
from subscribers.datacube.fetch import fetch_figures
from subscribers.inbox.keep import empty_conversations
from subscribers.messages.empty import empty_messages
from subscribers.messages.send import send_next, try_again
from subscribers.models import (
    BindingRequest,
    FollowerSync,
    OutgoingMessage,
    QRScene,
    follower_sync,
    outgoing_message,
)
from subscribers.personal_data.requests import erase_due, request_for_unfollowed
from subscribers.qr_codes import fetch_tickets
from subscribers.qr_codes.fetch_tickets import fetch_binding_tickets, fetch_scene_tickets
from subscribers.sync.compare import sync_next
from subscribers.sync.profiles import fetch_profiles
from subscribers.sync.schedule import begin_daily

__all__ = ["TASKS", "finish_replies"]

# Seconds for reply handlers under way when the worker stops; the lease of a longer one runs out.
_LAST_SECONDS = 5

# Reply handlers may be slow, and run apart from the queue.
_reply_pool = ReplyPool(settings.REPLY_HANDLER_THREADS)


def _process_events() -> int:
    return process_due(_reply_pool)


def _clear_statistics() -> int:
    return forget_unseen() + forget_refusals(timezone.now())


TASKS: Sequence[Task] = (
    Task(
        "events",
        _process_events,
        every=1,
        quick=True,
        queue=EventQueue(),
        title=_("events that failed or were abandoned"),
    ),
    Task(
        "quarantined events",
        judge_pending,
        every=2,
        quick=True,
        title=_("events that a corrected account may now take"),
    ),
    Task(
        "binding requests",
        end_expired_requests,
        every=15,
        quick=True,
        title=_("binding codes that expired"),
    ),
    Task(
        "messages",
        send_next,
        every=1,
        queue=JobQueue(OutgoingMessage, outgoing_message.FAILURES, retry=try_again),
        threads=4,
        title=_("messages to followers"),
    ),
    # A user looks at the page, so these do not wait behind a list of campaign codes.
    Task(
        "binding codes",
        fetch_binding_tickets,
        every=1,
        queue=JobQueue(BindingRequest, fetch_tickets.FAILURES),
        title=_("one-time binding codes"),
    ),
    Task(
        "QR codes",
        fetch_scene_tickets,
        every=1,
        queue=JobQueue(QRScene, fetch_tickets.FAILURES),
        title=_("QR codes of campaigns"),
    ),
    Task(
        "menus to publish",
        publish_menus,
        every=1,
        queue=JobQueue(MenuVersion),
        title=_("menus to publish"),
    ),
    Task(
        "menus at WeChat",
        look_at_menus,
        every=1,
        queue=JobQueue(LiveMenu),
        title=_("menus to read from WeChat"),
    ),
    Task(
        "menus to compare",
        look_regularly,
        every=60,
        quick=True,
        title=_("comparison of menus with WeChat"),
    ),
    Task(
        "follower sync",
        sync_next,
        every=1,
        queue=JobQueue(FollowerSync, follower_sync.FAILURES),
        title=_("follower syncs"),
    ),
    Task(
        "daily follower syncs",
        begin_daily,
        every=60,
        quick=True,
        title=_("start of the daily follower syncs"),
    ),
    # One call asks for a hundred, so newcomers are collected.
    Task("profiles", fetch_profiles, every=15, title=_("profiles of followers")),
    Task(
        "statistics",
        update_statistics,
        every=5,
        title=_("statistics of what is new in the log"),
    ),
    Task(
        "texts to search",
        index_texts,
        every=5,
        title=_("words of new messages, for the search"),
    ),
    Task(
        "statistics to clear",
        _clear_statistics,
        every=24 * 3600,
        title=_("people whom statistics saw last months ago"),
    ),
    Task("figures", fetch_figures, every=3600, title=_("WeChat's daily figures")),
    Task("alerts", watch, every=60, title=_("look at what alerts tell of")),
    Task(
        "alert messages",
        send_messages,
        every=2,
        queue=JobQueue(AlertMessage, ALERT_FAILURES),
        title=_("messages of alerts"),
    ),
    Task(
        "partitions",
        make_partitions_ahead,
        every=3600,
        quick=True,
        title=_("partitions made ahead"),
    ),
    Task("erasures", erase_due, every=15, title=_("erasures of personal data")),
    Task(
        "erasures of those who left",
        request_for_unfollowed,
        every=3600,
        title=_("erasures of those who unfollowed long ago"),
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
        "rule hits",
        forget_old_hits,
        every=24 * 3600,
        title=_("notes of which rule answered, after 100 days"),
    ),
    # What had to stay last time gets a few more chances each day.
    Task(
        "retention",
        prune,
        every=6 * 3600,
        title=_("months past retention"),
    ),
)


def finish_replies() -> None:
    """Waits a few seconds for the reply handlers under way; call it when the worker stops."""
    _reply_pool.finish(_LAST_SECONDS)

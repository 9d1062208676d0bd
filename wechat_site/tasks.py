"""The table of the worker's tasks: what runs in the background, and how often.

`manage.py worker` runs it in threads of one process (events/jobs/runner.py); with a broker, Celery
calls the same functions (wechat_site/celery.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from events.alerts.send import FAILURES as ALERT_FAILURES
from events.alerts.send import send_messages
from events.alerts.watch import watch
from events.callback.judge_again import judge_pending
from events.jobs.queues import EventQueue, JobQueue
from events.jobs.task import Task
from events.log.process import process_due
from events.log.replies.reply_pool import ReplyPool
from events.media.lend import keep_fresh, send_files
from events.menus.publish import look_at_menus, look_regularly, publish_menus
from events.models import AlertMessage, LiveMenu, MediaFile, MenuVersion
from events.platform.rights import ask_regularly
from events.retention.partitions import make_partitions_ahead
from events.search.fill import index_texts
from subscribers.binding.bind import end_expired_requests
from subscribers.datacube.fetch import fetch_figures
from subscribers.inbox import media
from subscribers.inbox.media import fetch_media
from subscribers.messages.send import send_next, try_again
from subscribers.models import (
    BindingRequest,
    FollowerEdit,
    FollowerExport,
    FollowerSync,
    OutgoingMessage,
    QRScene,
    ReceivedMedia,
    TagRead,
    outgoing_message,
)
from subscribers.models.followers import follower_sync
from subscribers.personal_data.requests import erase_due, request_for_unfollowed
from subscribers.qr_codes import fetch_tickets
from subscribers.qr_codes.fetch_tickets import (
    fetch_binding_tickets,
    fetch_scene_tickets,
    fetch_sign_in_tickets,
)
from subscribers.segments import export
from subscribers.segments.export import write_exports
from subscribers.signing_in.start import end_expired_sign_ins
from subscribers.stats.counting.update import update_statistics
from subscribers.sync.compare import sync_next
from subscribers.sync.profiles import fetch_profiles
from subscribers.sync.schedule import begin_daily
from subscribers.tagging import edit_jobs
from subscribers.tagging.edit_jobs import write_edits
from subscribers.tagging.tag_names import read_names, read_regularly
from subscribers.webhooks.send_deliveries import DeliveryQueue, send_due
from subscribers.webhooks.write import write_messages
from wechat_site.clearing import CLEARING

__all__ = ["TASKS", "finish_replies"]

# Seconds that reply handlers get to finish when the worker stops. The event of a slower one is
# processed again when its lease ends.
_LAST_SECONDS = 5

# Reply handlers may be slow, so they run in threads of their own.
_reply_pool = ReplyPool(settings.REPLY_HANDLER_THREADS)


def _process_events() -> int:
    return process_due(_reply_pool)


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
        "sign-in requests",
        end_expired_sign_ins,
        every=15,
        quick=True,
        title=_("codes to sign in that expired"),
    ),
    Task(
        "messages",
        send_next,
        every=1,
        queue=JobQueue(OutgoingMessage, outgoing_message.FAILURES, retry=try_again),
        threads=4,
        title=_("messages to followers"),
    ),
    # A user waits at the page, so these must not wait behind a list of campaign codes.
    Task(
        "binding codes",
        fetch_binding_tickets,
        every=1,
        queue=JobQueue(BindingRequest, fetch_tickets.FAILURES),
        title=_("one-time binding codes"),
    ),
    Task(
        "sign-in codes",
        fetch_sign_in_tickets,
        every=1,
        title=_("one-time codes to sign in"),
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
    Task(
        "media",
        send_files,
        every=1,
        queue=JobQueue(MediaFile),
        title=_("media files to send to WeChat"),
    ),
    Task(
        "media of rules",
        keep_fresh,
        every=30,
        quick=True,
        title=_("media files of reply rules that WeChat soon forgets"),
    ),
    Task(
        "received media",
        fetch_media,
        every=2,
        queue=JobQueue(ReceivedMedia, media.FAILURES),
        title=_("files that followers sent"),
    ),
    Task(
        "exports",
        write_exports,
        every=2,
        queue=JobQueue(FollowerExport, export.FAILURES),
        title=_("follower exports"),
    ),
    Task(
        "changes of followers",
        write_edits,
        every=1,
        queue=JobQueue(FollowerEdit, edit_jobs.FAILURES),
        title=_("tags and remarks to write to WeChat"),
    ),
    Task(
        "names of tags",
        read_names,
        every=5,
        queue=JobQueue(TagRead),
        title=_("names of tags to read from WeChat"),
    ),
    Task(
        "tags to read",
        read_regularly,
        every=60,
        quick=True,
        title=_("tags that were not read for hours"),
    ),
    # One call asks for a hundred profiles, so new followers are collected for some seconds.
    Task("profiles", fetch_profiles, every=15, title=_("profiles of followers")),
    Task(
        "statistics",
        update_statistics,
        every=10,
        title=_("statistics of what is new in the log"),
    ),
    Task(
        "texts to search",
        index_texts,
        every=5,
        title=_("words of new messages, for the search"),
    ),
    Task(
        "webhooks to write",
        write_messages,
        every=1,
        title=_("what webhooks are to be told"),
    ),
    Task(
        "webhooks",
        send_due,
        every=1,
        queue=DeliveryQueue(),
        threads=4,
        title=_("deliveries to webhooks"),
    ),
    Task(
        "rights",
        ask_regularly,
        every=60,
        title=_("what WeChat lets each account call"),
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
    *CLEARING,
)


def finish_replies() -> None:
    """Waits a few seconds for running reply handlers. Call it when the worker stops."""
    _reply_pool.finish(_LAST_SECONDS)

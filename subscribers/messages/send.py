"""Sends customer-service messages (客服消息): a transaction queues them, the worker sends them.

    from events.extend import EventLog, NotDeliverable, TextMessage, projection, send_message

    @projection("event.click")
    def tell_order(event: EventLog) -> None:
        if event.event_key == "MENU_MY_ORDERS":
            with contextlib.suppress(NotDeliverable):
                send_message(event, TextMessage("您的订单已发货"))

A message goes out at most once. If this site cannot know whether WeChat took it, its row says so,
and an operator decides (`OutgoingMessage`).
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from events.delays import MESSAGE
from events.jobs.run import Failure, GaveUp, claimed, run_job
from events.log.messages import Addressee, NotDeliverable, message_sender
from events.log.registry import late_reply_sender
from events.log.replies.reply_ways import message_settled
from events.media.lend import with_media_id
from events.models import EventLog
from events.platform.client import client_for
from events.wechat import (
    ImageReply,
    MusicReply,
    NewsReply,
    Reply,
    TextReply,
    VideoReply,
    VoiceReply,
)
from events.wechat.api import APIError, BadAnswer, Unreachable
from events.wechat.api.custom_messages import (
    LONGEST_TEXT,
    SEND_PATH,
    CustomMessage,
    ImageMessage,
    MusicMessage,
    NewsMessage,
    TextMessage,
    VideoMessage,
    VoiceMessage,
)
from subscribers.inbox.keep import note_messages
from subscribers.messages.conversation import summary
from subscribers.messages.index import index_messages
from subscribers.messages.window import Window, acted_lately, window_of
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.models.outgoing_message import (
    MessageState,
    OutgoingMessageQuerySet,
    Undeliverable,
    packed,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "NotDeliverable",
    "refusal_of",
    "send_again",
    "send_message",
    "send_next",
    "try_again",
]

logger = logging.getLogger(__name__)

# Long enough for a call, a fresh token after WeChat rejected the old one, and the call again, each
# at its longest. A slower sender, which had to wait for a token first, loses its lease.
LEASE = datetime.timedelta(seconds=60)
_TRIED_AGAIN_AT_ONCE = 500
# Several threads send. A later part of an answer waits this long while an earlier one is unsent.
_UNTIL_NEXT_PART = datetime.timedelta(seconds=1)


@message_sender
def send_message(
    to: Addressee, message: CustomMessage, *, after: float = 0, by: User | None = None
) -> OutgoingMessage:
    """Queues a message to a follower; if `to` is an EventLog row, it answers that event.

    The row is part of the caller's transaction: if that rolls back, nothing is sent. Raises
    `NotDeliverable`, and queues nothing, if the follower has no open window with a message left.
    `by` is the user who wrote it. The worker waits `after` seconds before it sends the message, and
    sends it only if a window is still open then.
    """
    kind, payload = packed(message)
    answered = to if isinstance(to, EventLog) else None
    with transaction.atomic():
        subscriber = _locked_follower(to)
        now = timezone.now()
        window = window_of(subscriber, now)
        reason = refusal_of(subscriber, window)
        if reason is not None:
            raise _not_deliverable(reason)
        assert window is not None
        return OutgoingMessage.objects.create(
            account_id=subscriber.account_id,
            subscriber=subscriber,
            kind=kind,
            payload=payload,
            created_by=by,
            event_id=answered.pk if answered else None,
            event_time=answered.event_time if answered else None,
            window_until=window.until,
            created_at=now,
            due_at=now + datetime.timedelta(seconds=after),
        )


def _not_deliverable(reason: Undeliverable) -> NotDeliverable:
    return NotDeliverable(reason, str(reason.label))


def refusal_of(subscriber: Subscriber, window: Window | None) -> Undeliverable | None:
    """Why this follower may get no message with this window; None if they may."""
    if not subscriber.account.is_active:
        return Undeliverable.INACTIVE
    if not subscriber.is_following:
        return Undeliverable.NOT_FOLLOWING
    if window is None:
        return Undeliverable.CLOSED
    return None if window.remaining else Undeliverable.USED_UP


def _locked_follower(of: Addressee) -> Subscriber:
    """The follower's row, locked so that two messages cannot both be the last one allowed."""
    found = Subscriber.objects.filter(account=of.account_id, openid=of.openid).held().first()
    if found is None:
        raise _not_deliverable(Undeliverable.NOT_FOLLOWING)
    return found


@late_reply_sender
def send_late_reply(event: EventLog, reply: Reply) -> bool:
    """Queues a reply that WeChat no longer waits for, if it can be a message and a window is open.

    Returns whether it did. If not, the reply stays on the event's row, unsent.
    """
    message = _message_of(reply)
    if message is None:
        return False
    try:
        send_message(event, message)
    except NotDeliverable as refused:
        logger.info("The late reply to event %s is not sent: %s", event.pk, refused.reason)
        return False
    return True


def _message_of(reply: Reply) -> CustomMessage | None:
    match reply:
        case TextReply(content):
            # A text that is too long is cut, as in a passive reply.
            return TextMessage(content.encode()[:LONGEST_TEXT].decode("utf-8", "ignore"))
        case ImageReply(media_id):
            return ImageMessage(media_id)
        case VoiceReply(media_id):
            return VoiceMessage(media_id)
        case VideoReply(media_id, title, description):
            return VideoMessage(media_id, "", title, description)
        case MusicReply(thumb_media_id, title, description, music_url, hq_music_url):
            return MusicMessage(thumb_media_id, title, description, music_url, hq_music_url)
        case NewsReply(articles):
            return NewsMessage(articles[0])
        case _:
            return None


# --- The worker's side -------------------------------------------------------------------------


def send_next(*, lease: datetime.timedelta = LEASE) -> int:
    """Sends the message that is due next; returns 1, or 0 if there is none.

    Call it outside a transaction.
    """
    rows = OutgoingMessage.objects.all()
    sent = 0
    for message in claimed(rows, lease=lease, seconds=0):
        if _has_earlier_part(message):
            rows.release(message, timezone.now() + _UNTIL_NEXT_PART)
            continue
        failure = run_job(
            rows, message, partial(_send, lease=lease), delays=MESSAGE, amend=_with_state
        )
        if failure is not None and failure.columns["state"] == MessageState.FAILED:
            _tell_event(message, sent_at=None)
        note_messages([message], summary(message))
        sent += 1
    return sent


def _send(message: OutgoingMessage, *, lease: datetime.timedelta) -> None:
    if message.state == MessageState.SENDING:
        # The worker that began to send it was killed.
        raise GaveUp("killed")
    now = timezone.now()
    subscriber = message.subscriber
    if not subscriber.is_following:
        raise GaveUp(Undeliverable.NOT_FOLLOWING.value)
    if now >= message.window_until and window_of(subscriber, now) is None:
        raise GaveUp(Undeliverable.CLOSED.value)
    client = client_for(message.account)
    content = with_media_id(message.message, message.account, may_send=True)
    OutgoingMessage.objects.begin(message, now, lease)
    client.custom_messages.send(subscriber.openid, content)
    if not OutgoingMessage.objects.finish(message, state=MessageState.SENT):
        OutgoingMessage.objects.confirm_sent(message)
    _tell_event(message, sent_at=timezone.now())
    index_messages([message])


def _has_earlier_part(message: OutgoingMessage) -> bool:
    """Whether an earlier message that answers the same event has not been sent yet."""
    if message.event_id is None:
        return False
    earlier = message.subscriber.outgoing_messages.filter(
        event_id=message.event_id, pk__lt=message.pk
    )
    return earlier.filter(state__in=[MessageState.QUEUED, MessageState.SENDING]).exists()


def _tell_event(message: OutgoingMessage, sent_at: datetime.datetime | None) -> None:
    """Notes on the event that this message answers whether the follower got the answer."""
    if message.event_id is not None and message.event_time is not None:
        message_settled(message.event_id, message.event_time, sent_at)


def _with_state(message: OutgoingMessage, error: Exception, failure: Failure) -> Failure:
    """Adds the message's state to a failure. A message that may have arrived is not retried."""
    if _may_have_been_sent(message, error):
        return replace(failure, again_at=None, columns={"state": MessageState.UNKNOWN})
    if failure.again_at is None or failure.again_at >= message.window_until:
        return replace(
            failure, again_at=None, columns={"state": MessageState.FAILED, "sent_at": None}
        )
    return replace(failure, columns={"state": MessageState.QUEUED, "sent_at": None})


def _may_have_been_sent(message: OutgoingMessage, error: Exception) -> bool:
    """Whether the message itself was on its way, and not only a call for the token."""
    match error:
        case Unreachable():
            return error.may_have_arrived and error.path == SEND_PATH
        case BadAnswer():
            return error.path == SEND_PATH
        case APIError():
            return False
        case _:
            return message.state == MessageState.SENDING


def try_again(messages: OutgoingMessageQuerySet, now: datetime.datetime) -> int:
    """Queues failed messages once more if a window is open; returns how many.

    It skips messages that may have been sent: see `send_again`.
    """
    # Only messages to followers who acted lately can still be sent; this leaves out thousands.
    failed = messages.filter(acted_lately(now), state=MessageState.FAILED)
    newest = failed.select_related("subscriber").order_by("-pk")[:_TRIED_AGAIN_AT_ONCE]
    return sum(send_again(message, now) for message in newest)


def send_again(message: OutgoingMessage, now: datetime.datetime) -> bool:
    """Queues once more a message that failed or may have been sent.

    Returns False and changes nothing if no window is open or the message changed meanwhile.
    """
    rows = OutgoingMessage.objects.filter(
        pk=message.pk, state__in=[MessageState.FAILED, MessageState.UNKNOWN]
    )
    with transaction.atomic():
        window = window_of(Subscriber.objects.held().get(pk=message.subscriber_id), now)
        if window is None or not window.remaining:
            return False
        return bool(
            rows.update(
                state=MessageState.QUEUED,
                due_at=now,
                attempts=0,
                sent_at=None,
                window_until=window.until,
            )
        )

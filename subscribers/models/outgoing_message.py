"""The table of customer-service messages (客服消息)."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.job import Job, JobQuerySet, LeaseLost
from events.platform.failures import EXPLANATIONS
from events.wechat.api.custom_messages import (
    ArticleMessage,
    Choice,
    ChoiceMessage,
    CustomMessage,
    ImageMessage,
    MaterialMessage,
    MiniProgramMessage,
    MusicMessage,
    NewsMessage,
    TextMessage,
    VideoMessage,
    VoiceMessage,
)
from events.wechat.api.transport.answer_fields import storable
from events.wechat.replies import Article

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "FAILURES", "MESSAGE_KINDS", "OutgoingMessage", "OutgoingMessageQuerySet", "Undeliverable",
]  # fmt: skip


class Undeliverable(models.TextChoices):
    """Why this site does not send a message to WeChat at all."""

    INACTIVE = "inactive", EXPLANATIONS["inactive"]
    NOT_FOLLOWING = "not_following", _("This person does not follow the account.")
    CLOSED = (
        "window_closed",
        _("The follower has done nothing lately that allows a message, or it was too long ago."),
    )
    USED_UP = (
        "window_used_up",
        _("As many messages as the follower's last act allows are sent or queued."),
    )


# What operators read for each `failure`; pages show WeChat's own words beside it.
FAILURES: dict[str, StrOrPromise] = {
    **dict(Undeliverable.choices),
    "killed": _("The worker was stopped while it sent the message. It may have arrived."),
    "erased": _("The personal data of this follower was erased."),
    "media": _("The file is no longer in the media library."),
    **EXPLANATIONS,
    "recipient": _("WeChat does not deliver to this follower now."),
    "permission": _("The account has no right to send customer-service messages."),
    "request": _("WeChat does not accept this content."),
    "refused": _("WeChat refused the message."),
}


# A window of a minute must not wait behind windows of two days.
_URGENT = datetime.timedelta(seconds=90)


class OutgoingMessageQuerySet(JobQuerySet["OutgoingMessage"]):
    def spent_since(self, opened_at: datetime.datetime) -> OutgoingMessageQuerySet:
        """The messages that count in a window opened then: queued, sent, or maybe sent."""
        sent = Q(state__in=[MessageState.SENT, MessageState.UNKNOWN], sent_at__gte=opened_at)
        return self.filter(sent | Q(state__in=[MessageState.QUEUED, MessageState.SENDING]))

    def in_states(self, *states: str) -> OutgoingMessageQuerySet:
        """The messages in one of these states."""
        chosen = self.filter(state__in=states)
        # SQLite uses the partial index only if the query repeats its condition.
        return chosen if MessageState.SENT in states else chosen.exclude(state=MessageState.SENT)

    def urgent(self, now: datetime.datetime) -> OutgoingMessageQuerySet:
        """Messages in a window that closes soon; a message that is too late is not urgent."""
        closing = self.filter(window_until__gt=now, window_until__lte=now + _URGENT)
        return closing.filter(due_at__isnull=False)

    def claim(
        self, now: datetime.datetime, *, limit: int, lease: datetime.timedelta
    ) -> list[OutgoingMessage]:
        """Claims messages as other jobs are claimed, but urgent messages first."""
        urgent = JobQuerySet.claim(self.urgent(now), now, limit=limit, lease=lease)
        return urgent or super().claim(now, limit=limit, lease=lease)

    def begin(
        self, message: OutgoingMessage, now: datetime.datetime, lease: datetime.timedelta
    ) -> None:
        """Notes that a claimed message is about to be sent; raises `LeaseLost`.

        A worker that later finds the message in this state knows that it may have been sent.
        """
        mine = self.filter(pk=message.pk, lease=message.lease, state=MessageState.QUEUED)
        if not mine.exclude(lease="").update(
            state=MessageState.SENDING, sent_at=now, leased_until=now + lease
        ):
            raise LeaseLost
        message.state, message.sent_at = MessageState.SENDING, now

    def confirm_sent(self, message: OutgoingMessage) -> bool:
        """Notes that a message was sent although its sender lost the lease meanwhile."""
        given_up = self.filter(pk=message.pk, state=MessageState.UNKNOWN, sent_at=message.sent_at)
        return bool(
            given_up.update(state=MessageState.SENT, failure="", failure_text="", failed_at=None)
        )


class MessageState(models.TextChoices):
    """What happened to a message; UNKNOWN is explained at OutgoingMessage."""

    QUEUED = "queued", _("queued")
    SENDING = "sending", _("being sent")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")
    UNKNOWN = "unknown", _("maybe sent")


class OutgoingMessage(Job):
    """One message to one follower.

    WeChat's API has no key that marks a repetition, and no receipt. So a message whose sender was
    killed, or got no answer, is not sent a second time: it is `unknown`, and an operator decides.
    Any other message ends as `sent` or `failed`, with the reason in `failure` and `failure_text`.

    `sent_at` is when the call to WeChat began. `window_until` is the end of the window at the time
    of queueing. `event_id` and `event_time` name the event that the message answers; there is no
    foreign key, because the log is partitioned and old months leave it.
    """

    State = MessageState

    account = models.ForeignKey(
        "events.OfficialAccount",
        on_delete=models.PROTECT,
        db_index=False,  # an index below begins with it
        related_name="outgoing_messages",
        verbose_name=_("Official Account"),
    )
    subscriber = models.ForeignKey(
        "subscribers.Subscriber",
        on_delete=models.PROTECT,
        db_index=False,  # an index below begins with it
        related_name="outgoing_messages",
        verbose_name=_("follower"),
    )
    kind = models.CharField(_("kind"), max_length=20)
    payload = models.JSONField(_("content"))
    state = models.CharField(
        _("status"), max_length=10, choices=MessageState.choices, default=MessageState.QUEUED
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("written by"),
    )
    event_id = models.BigIntegerField(_("event"), null=True, blank=True)
    event_time = models.DateTimeField(_("event time"), null=True, blank=True)
    window_until = models.DateTimeField(_("deliverable until"))
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    objects = OutgoingMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("outgoing message")
        verbose_name_plural = _("outgoing messages")
        constraints = [
            models.CheckConstraint(
                name="outgoing_state",
                condition=Q(state__in=["queued", "sending"], due_at__isnull=False)
                | Q(state__in=["sent", "failed", "unknown"], due_at=None),
            ),
            models.CheckConstraint(
                name="outgoing_sent_at",
                condition=Q(state__in=["queued", "failed"]) | Q(sent_at__isnull=False),
            ),
            models.CheckConstraint(
                name="outgoing_reason",
                condition=~Q(state__in=["failed", "unknown"]) | ~Q(failure=""),
            ),
        ]
        indexes = [
            # One account's messages, newest first.
            models.Index(fields=["account", "id"], name="outgoing_account"),
            # One follower's conversation, newest first.
            models.Index(fields=["subscriber", "id"], name="outgoing_subscriber"),
            # A span of time, of all accounts.
            models.Index(fields=["created_at", "id"], name="outgoing_created"),
            # How many messages were sent in a span of days, and to how many people.
            models.Index(
                fields=["account", "state", "sent_at", "subscriber"],
                name="outgoing_sent",
                condition=Q(sent_at__isnull=False),
            ),
            # What the worker takes next.
            models.Index(fields=["due_at"], name="outgoing_due", condition=Q(due_at__isnull=False)),
            # Messages whose window is about to close.
            models.Index(
                fields=["window_until"], name="outgoing_urgent", condition=Q(due_at__isnull=False)
            ),
            # Messages by state, newest first; then how many failed lately, and why.
            models.Index(fields=["state", "id"], name="outgoing_state", condition=~Q(state="sent")),
            models.Index(
                fields=["failed_at", "failure"],
                name="outgoing_failed",
                condition=Q(due_at=None) & ~Q(failure=""),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def message(self) -> CustomMessage:
        """The message as the client sends it. Raises ValueError as `unpacked`."""
        return unpacked(self.kind, self.payload)

    @property
    def reason(self) -> str:
        """Why it failed or is retried, in the current language; "" without a failure."""
        return str(FAILURES.get(self.failure, self.failure))


_CLASSES: dict[str, type[CustomMessage]] = {
    "text": TextMessage,
    "image": ImageMessage,
    "voice": VoiceMessage,
    "video": VideoMessage,
    "music": MusicMessage,
    "miniprogrampage": MiniProgramMessage,
    "news": NewsMessage,
    "mpnews": MaterialMessage,
    "mpnewsarticle": ArticleMessage,
    "msgmenu": ChoiceMessage,
}
MESSAGE_KINDS = list(_CLASSES)
_KINDS = {cls: kind for kind, cls in _CLASSES.items()}


def packed(message: CustomMessage) -> tuple[str, dict[str, Any]]:
    """The columns `kind` and `payload` of a message. Raises ValueError for a text with NUL."""
    payload = dataclasses.asdict(message)
    if not _is_text_throughout(payload):
        raise ValueError("a text of a message has a NUL in it")
    return _KINDS[type(message)], payload


def unpacked(kind: str, payload: Mapping[str, Any]) -> CustomMessage:
    """The message in these columns. Raises ValueError if `packed` did not make them."""
    fields = dict(payload)
    parts: dict[str, Any] = {}
    if not _is_text_throughout(fields):
        raise ValueError(f"a message of kind {kind!r} has a value that is no text, or a NUL")
    try:
        if kind == "news":
            parts["article"] = Article(**_texts(fields.pop("article")))
        elif kind == "msgmenu":
            choices = fields.pop("choices")
            parts["choices"] = tuple(Choice(**_texts(choice)) for choice in choices)
        return _CLASSES[kind](**(parts | _texts(fields)))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no message of kind {kind!r}: {error!r}") from error


def _texts(values: Any) -> dict[str, str]:
    """Returns a dict of texts as it is; TypeError for other values, which no page can show."""
    if not isinstance(values, dict) or not all(isinstance(text, str) for text in values.values()):
        raise TypeError("not each value is a text")
    return values


def _is_text_throughout(value: Any) -> bool:
    match value:
        case str():
            return storable(value) == value
        case dict():
            return all(_is_text_throughout(part) for part in value.values())
        case list() | tuple():
            return all(_is_text_throughout(part) for part in value)
        case _:
            return False

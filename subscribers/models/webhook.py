"""The tables of webhooks: endpoints, messages to them, deliveries and attempts."""

from __future__ import annotations

import datetime
import secrets
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.fields import EncryptedTextField
from events.models.job import Job, JobQuerySet
from subscribers.models.locked_deletion import LockedDeletion, LockedDeletionQuerySet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookLateEvent",
    "WebhookMessage",
    "WebhookOutbox",
    "WebhookPosition",
]


class WebhookEndpointQuerySet(LockedDeletionQuerySet, models.QuerySet["WebhookEndpoint"]):
    def lock(self) -> None:
        """Locks the endpoints and their deliveries until the transaction ends.

        The worker locks an endpoint before its deliveries, and a delivery before it adds an attempt
        to it.
        """
        endpoints = WebhookEndpoint.objects.filter(pk__in=self.values("pk"))
        chosen = list(endpoints.order_by("pk").select_for_update().values_list("pk", flat=True))
        WebhookDelivery.objects.filter(endpoint__in=chosen).lock()


class WebhookEndpoint(LockedDeletion):
    """An address of another system, and the types of events of one account that it gets.

    `url` may hold a password of the other system; `secret` signs messages. While the endpoint
    fails, `failures` counts the failed attempts in a row, and the worker makes no attempt before
    `retry_at`. `paused_at` is set after an hour of failures: from then on, one delivery at a time
    tests whether the endpoint is back.
    """

    class Stopped(models.TextChoices):
        GONE = "gone", _("it answered 410 Gone")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        related_name="webhooks",
        verbose_name=_("Official Account"),
    )
    url = models.CharField(_("address"), max_length=2000)
    types = models.JSONField(_("types of events"), default=list)
    is_active = models.BooleanField(_("active"), default=True)
    secret = EncryptedTextField(editable=False)
    previous_secret = EncryptedTextField(blank=True, default="", editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    # The endpoint gets events of the log with a larger id than this.
    after_event_id = models.BigIntegerField(default=0, editable=False)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    retry_at = models.DateTimeField(_("tried again"), null=True, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, editable=False)
    stopped_because = models.CharField(
        _("stopped because"),
        max_length=10,
        choices=Stopped.choices,
        blank=True,
        default="",
        editable=False,
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.host

    @property
    def host(self) -> str:
        """The address without its secret parts: scheme, host and port."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0].partition('?')[0].rpartition('@')[2]}"

    @property
    def is_told_now(self) -> bool:
        """Whether new deliveries are due at once; else they are held until the endpoint is back."""
        return self.is_active and self.paused_at is None

    def secrets_at(self, now: datetime.datetime) -> list[str]:
        """The secrets that sign: the current one, and for a day the one before it."""
        is_overlap = self.previous_until is not None and now < self.previous_until
        return [self.secret, self.previous_secret] if is_overlap else [self.secret]


def _new_message_id() -> str:
    return f"msg_{secrets.token_hex(14)}"


class WebhookMessage(models.Model):
    """One payload for every endpoint that wants its type. `openid` is the person that it names."""

    message_id = models.CharField(max_length=40, unique=True, default=_new_message_id)
    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # an index below begins with it
        related_name="+",
        verbose_name=_("Official Account"),
    )
    type = models.CharField(_("type of event"), max_length=70)
    openid = models.CharField("OpenID", max_length=64, blank=True, default="")
    event_id = models.BigIntegerField(_("event"), null=True, blank=True)
    body = models.TextField(_("payload"))
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("webhook message")
        verbose_name_plural = _("webhook messages")
        default_permissions = ()
        indexes = [
            models.Index(fields=["account", "openid"], name="webhook_message_person"),
            models.Index(fields=["created_at"], name="webhook_message_age"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.message_id}"


class WebhookDeliveryQuerySet(JobQuerySet["WebhookDelivery"]):
    def failed(self) -> WebhookDeliveryQuerySet:
        """Deliveries that were given up; a held one may have a failure too, but goes out later."""
        return self.filter(state=WebhookDelivery.State.FAILED)

    def lock(self) -> None:
        """Locks the deliveries until the transaction ends, so that nobody adds attempts to them."""
        chosen = WebhookDelivery.objects.filter(pk__in=self.values("pk")).order_by("pk")
        list(chosen.select_for_update().values_list("pk"))


class WebhookDelivery(Job):
    """One message to one endpoint, sent until the endpoint takes it.

    A held delivery is not due: its endpoint is paused or turned off.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        HELD = "held", _("held until the webhook is back")
        SENT = "sent", _("delivered")
        FAILED = "failed", _("failed")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="deliveries",
        verbose_name=_("webhook"),
    )
    message = models.ForeignKey(
        WebhookMessage,
        on_delete=models.CASCADE,
        related_name="deliveries",
        verbose_name=_("webhook message"),
    )
    state = models.CharField(
        _("status"), max_length=8, choices=State.choices, default=State.WAITING, editable=False
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("delivered"), null=True, blank=True, editable=False)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "message"], name="webhook_delivery_once"),
            models.CheckConstraint(
                name="webhook_delivery_due",
                condition=Q(state="waiting", due_at__isnull=False)
                | Q(state__in=["held", "sent", "failed"], due_at=None),
            ),
        ]
        indexes = [
            models.Index(
                # With the id, because after a pause thousands are due at one moment.
                fields=["endpoint", "due_at", "id"],
                name="webhook_delivery_due",
                condition=Q(due_at__isnull=False),
            ),
            models.Index(
                fields=["endpoint", "id"],
                name="webhook_delivery_held",
                condition=Q(state="held"),
            ),
            models.Index(
                fields=["endpoint", "id"],
                name="webhook_delivery_failed",
                condition=Q(state="failed"),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class WebhookAttempt(models.Model):
    """One request to an endpoint, with the part of its answer that is kept, or with `error`."""

    delivery = models.ForeignKey(
        WebhookDelivery, on_delete=models.CASCADE, related_name="tries", verbose_name=_("delivery")
    )
    at = models.DateTimeField(_("time"))
    duration_ms = models.PositiveIntegerField(_("duration (ms)"))
    headers = models.JSONField(_("headers"), default=dict)
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    answer = models.TextField(_("answer"), blank=True, default="")
    error = models.CharField(_("error"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("webhook attempt")
        verbose_name_plural = _("webhook attempts")
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def outcome(self) -> StrOrPromise:
        return str(self.status) if self.status is not None else self.error


class WebhookOutbox(models.Model):
    """A change in another table that webhooks will get; triggers write it in its transaction."""

    type = models.CharField(max_length=20)
    object_id = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.type} #{self.object_id}"


class WebhookPosition(models.Model):
    """The one row that says up to which id the log was read; the first webhook makes it.

    Code that writes messages, or removes a person from them, locks this row first.
    """

    event_id = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.event_id}"


class WebhookLateEvent(models.Model):
    """An event that was not folded when the log was read; webhooks get it once it is folded."""

    event_id = models.BigIntegerField(unique=True)
    looked_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["looked_at"], name="webhook_late_event_look")]

    def __str__(self) -> str:
        return f"#{self.event_id}"

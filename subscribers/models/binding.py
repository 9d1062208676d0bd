"""The tables of account binding: what users ask for, what was scanned, what holds."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.fields import EncryptedTextField
from events.models.job import Job, JobQuerySet
from subscribers.models.subscriber import Subscriber, SubscriberQuerySet

__all__ = ["Binding", "BindingRequest", "BindingScan", "Refusal", "with_bound_user"]


class Refusal(models.TextChoices):
    """Why a scan did not bind."""

    UNKNOWN = "unknown", _("no such binding code")
    EXPIRED = "expired", _("the code had expired")
    USED = "used", _("the code was already used")
    WITHDRAWN = "withdrawn", _("a newer code had replaced it")
    WRONG_ACCOUNT = "wrong_account", _("scanned under another Official Account")
    FOLLOWER_BOUND = "follower_bound", _("this WeChat is bound to another user")
    USER_BOUND = "user_bound", _("this user is bound to another WeChat")
    USER_INACTIVE = "user_inactive", _("the user may not sign in")
    TOO_MANY = "too_many", _("too many wrong codes before")


class BindingQuerySet(models.QuerySet["Binding"]):
    def active(self) -> BindingQuerySet:
        return self.filter(unbound_at=None)


def with_bound_user(followers: SubscriberQuerySet) -> SubscriberQuerySet:
    """Adds `bound_username`, the user each follower is bound to, or None."""
    active = Binding.objects.active().filter(subscriber=models.OuterRef("pk"))
    return followers.annotate(bound_username=models.Subquery(active.values("user__username")[:1]))


class Binding(models.Model):
    """A follower's WeChat tied to a user of this site. Ended bindings stay as history."""

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.PROTECT, verbose_name=_("Official Account")
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.PROTECT, related_name="bindings", verbose_name=_("follower")
    )
    # None once the follower was erased.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="wechat_bindings",
        verbose_name=_("user"),
    )
    bound_at = models.DateTimeField(_("bound"))
    unbound_at = models.DateTimeField(_("unbound"), null=True, blank=True)
    # Without a constraint, since the log is partitioned and pruned.
    event_id = models.BigIntegerField(_("event"))
    event_time = models.DateTimeField(_("event time"))

    objects = BindingQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding")
        verbose_name_plural = _("bindings")
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber"],
                name="binding_one_per_subscriber",
                condition=Q(unbound_at=None),
            ),
            models.UniqueConstraint(
                fields=["account", "user"],
                name="binding_one_per_user",
                condition=Q(unbound_at=None),
            ),
        ]
        indexes = [
            # The API's filters by these times.
            models.Index(fields=["bound_at", "id"], name="binding_bound_at"),
            models.Index(
                fields=["unbound_at", "id"],
                name="binding_unbound_at",
                condition=Q(unbound_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or '–'} ↔ {self.subscriber}"

    @property
    def is_active(self) -> bool:
        return self.unbound_at is None

    @property
    def is_dormant(self) -> bool:
        """Bound, but the follower has left; a new follow wakes the binding."""
        return self.is_active and not self.subscriber.is_following


class BindingRequestQuerySet(JobQuerySet["BindingRequest"]):
    def open(self) -> BindingRequestQuerySet:
        return self.filter(completed_at=None, refused_reason="")

    def end(self, **outcome: Any) -> int:
        """Gives open requests their outcome and wipes their secrets; returns how many.

        It ends the lease too, so that a worker that fetches a ticket just now changes nothing.
        """
        return self.open().update(
            scene="",
            ticket="",
            url="",
            code="",
            due_at=None,
            lease="",
            leased_until=None,
            **outcome,
        )


class BindingRequest(Job):
    """A user's wish to bind their WeChat: a one-time code that one follower may scan or send.

    The worker fetches `ticket` and `url`, the text of the picture, while the row is due.
    """

    class Way(models.TextChoices):
        SCAN = "scan", _("by scanning a QR code")
        CODE = "code", _("by sending a code")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for the scan")
        BOUND = "bound", _("bound")
        EXPIRED = "expired", _("expired")
        REFUSED = "refused", _("refused")

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, verbose_name=_("Official Account")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="wechat_binding_requests",
        verbose_name=_("user"),
    )
    scene_digest = models.CharField(max_length=64, unique=True, editable=False)
    way = models.CharField(_("way"), max_length=4, choices=Way.choices, default=Way.SCAN)
    # Of the code to send; None where there is only one to scan.
    code_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    # A reader of these four could bind a WeChat of their own, so they are encrypted, shown to the
    # owner alone, and wiped at the end.
    scene = EncryptedTextField(_("scene"), blank=True, default="", editable=False)
    ticket = EncryptedTextField("Ticket", blank=True, default="", editable=False)
    url = EncryptedTextField("URL", blank=True, default="", editable=False)
    code = EncryptedTextField(_("code"), blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("expires"))
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True)
    binding = models.ForeignKey(
        Binding,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="requests",
        verbose_name=_("binding"),
    )
    refused_reason = models.CharField(
        _("refused because"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    objects = BindingRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding request")
        verbose_name_plural = _("binding requests")
        constraints = [
            # A user has one live code per account: a new one withdraws the former.
            models.UniqueConstraint(
                fields=["account", "user"],
                name="binding_request_one_open",
                condition=Q(completed_at=None, refused_reason=""),
            ),
            models.CheckConstraint(
                name="binding_request_one_outcome",
                condition=Q(completed_at=None) | Q(refused_reason=""),
            ),
            models.CheckConstraint(
                name="binding_request_wiped",
                condition=Q(completed_at=None, refused_reason="")
                | Q(scene="", ticket="", url="", code=""),
            ),
        ]
        indexes = [
            # Requests without a scan, for the worker to end.
            models.Index(
                fields=["expires_at"],
                name="binding_request_open",
                condition=Q(completed_at=None, refused_reason=""),
            ),
            # Whose ticket the worker fetches next.
            models.Index(
                fields=["due_at"],
                name="binding_request_due",
                condition=Q(due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"

    def code_for(self, user: Any) -> str:
        """The text of the QR code, for its own user and while it can be scanned.

        "" for any other user, and until it is fetched.
        """
        return self.url if self._is_open_for(user) else ""

    def sent_code_for(self, user: Any) -> str:
        """The code to send, as `ABCD-2345`, for its own user and while it is taken; else ""."""
        return f"{self.code[:4]}-{self.code[4:]}" if self.code and self._is_open_for(user) else ""

    def _is_open_for(self, user: Any) -> bool:
        return bool(user.pk == self.user_id and self.state == self.State.WAITING)

    @staticmethod
    def digest_of(scene: str) -> str:
        return hashlib.sha256(scene.encode()).hexdigest()

    @property
    def state(self) -> State:
        if self.completed_at is not None:
            return self.State.BOUND
        if self.refused_reason == Refusal.EXPIRED:
            return self.State.EXPIRED
        if self.refused_reason:
            return self.State.REFUSED
        return self.State.WAITING if timezone.now() < self.expires_at else self.State.EXPIRED


class BindingScan(models.Model):
    """A scan of a binding code, or a code in a message, with its outcome."""

    class Outcome(models.TextChoices):
        BOUND = "bound", _("bound")
        ALREADY_BOUND = "already_bound", _("was already bound to this user")
        REFUSED = "refused", _("refused")

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.PROTECT, verbose_name=_("Official Account")
    )
    subscriber = models.ForeignKey(
        Subscriber,
        on_delete=models.PROTECT,
        related_name="binding_scans",
        verbose_name=_("follower"),
    )
    request = models.ForeignKey(
        BindingRequest,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="scans",
        verbose_name=_("binding request"),
    )
    event_id = models.BigIntegerField(_("event"))
    event_time = models.DateTimeField(_("event time"))
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices)
    refused_reason = models.CharField(
        _("refused because"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    class Meta:
        verbose_name = _("binding scan")
        verbose_name_plural = _("binding scans")
        constraints = [
            models.UniqueConstraint(fields=["event_id", "event_time"], name="binding_scan_once"),
            models.CheckConstraint(
                name="binding_scan_reason",
                condition=Q(outcome="refused") & ~Q(refused_reason="")
                | Q(outcome__in=["bound", "already_bound"], refused_reason=""),
            ),
        ]
        indexes = [
            # The latest wrong codes of an account, to notice that somebody guesses.
            models.Index(
                fields=["account", "-id"],
                name="binding_scan_unknown",
                condition=Q(refused_reason="unknown"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} #{self.pk}"

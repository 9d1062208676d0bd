"""The table of binding requests: a user who wants to bind, and the code for it."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.fields import EncryptedTextField
from events.models.job import Job
from subscribers.models.binding.binding import Binding
from subscribers.models.binding.refusal import Refusal
from subscribers.models.one_time_code import OneTimeCodeQuerySet, Way, as_sent
from subscribers.models.subscriber import Subscriber

__all__ = ["BindingRequest"]


class BindingRequestQuerySet(OneTimeCodeQuerySet["BindingRequest"]):
    open_when: ClassVar[dict[str, Any]] = {"completed_at": None, "refused_reason": ""}


class BindingRequest(Job):
    """A user's request to bind their WeChat: a one-time code that one follower may scan or send.

    While the row is due, the worker fetches `ticket` and `url`, the text of the picture.
    """

    Way = Way

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for the scan")
        SCANNED = "scanned", _("scanned, to be confirmed")
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
    # The digest of the code to send; None for a request with a code to scan.
    code_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    # Anybody who reads one of these four could bind their own WeChat. So they are encrypted, shown
    # only to the owner, and wiped at the end.
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
    # The follower who was asked to agree, and the time of the scan.
    asked = models.ForeignKey(
        Subscriber, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    asked_at = models.DateTimeField(null=True, editable=False)
    refused_reason = models.CharField(
        _("refused because"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    objects = BindingRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding request")
        verbose_name_plural = _("binding requests")
        constraints = [
            # A user has one open request per account: a new one withdraws the former.
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
            # Open requests by their end, for the worker that ends them.
            models.Index(
                fields=["expires_at"],
                name="binding_request_open",
                condition=Q(completed_at=None, refused_reason=""),
            ),
            # The request whose ticket the worker fetches next.
            models.Index(
                fields=["due_at"],
                name="binding_request_due",
                condition=Q(due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"

    def code_for(self, user: Any) -> str:
        """The text of the QR code, for the request's own user while the code can be scanned.

        "" for any other user, and before the worker has fetched it.
        """
        return self.url if self._is_open_for(user) else ""

    def sent_code_for(self, user: Any) -> str:
        """The code to send, as `ABCD-2345`, for the request's own user while valid; else ""."""
        return as_sent(self.code) if self._is_open_for(user) else ""

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
        if timezone.now() >= self.expires_at:
            return self.State.EXPIRED
        return self.State.WAITING if self.asked_at is None else self.State.SCANNED

"""The table of sign-ins by scanning: a browser asks for one, a follower allows it in WeChat."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.fields import EncryptedTextField
from events.models.job import Job
from subscribers.models.one_time_code import OneTimeCodeQuerySet, Way, as_sent
from subscribers.models.subscriber import Subscriber

__all__ = ["SignInRequest"]


class SignInRequestQuerySet(OneTimeCodeQuerySet["SignInRequest"]):
    open_when: ClassVar[dict[str, Any]] = {"used_at": None, "refused_reason": ""}


class SignInRequest(Job):
    """A browser's request to sign in: a one-time code that a bound follower may scan or send.

    While the row is due, the worker fetches `ticket` and `url`, the text of the picture.
    """

    Way = Way

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, verbose_name=_("Official Account")
    )
    # The host name of the page, which the follower reads.
    site = models.CharField(max_length=255)
    # A digest of the secret in the browser's session: no other browser can go on with this request.
    browser = models.CharField(max_length=64)
    way = models.CharField(max_length=4, choices=Way.choices, default=Way.SCAN)
    scene_digest = models.CharField(max_length=64, unique=True)
    # The digest of the code to send; None for a request with a code to scan.
    code_digest = models.CharField(max_length=64, unique=True, null=True)  # noqa: DJ001
    # These four are encrypted, shown only to the browser, and wiped at the scan.
    scene = EncryptedTextField(blank=True, default="")
    ticket = EncryptedTextField(blank=True, default="")
    url = EncryptedTextField(blank=True, default="")
    code = EncryptedTextField(blank=True, default="")
    created_at = models.DateTimeField()
    # The end of the code; after a scan, of the question; after a yes, of the allowed sign-in.
    expires_at = models.DateTimeField()
    asked = models.ForeignKey(Subscriber, on_delete=models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField(null=True)
    # None before the scan, and while the follower is asked about a new user account.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    allowed_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    refused_reason = models.CharField(max_length=20, blank=True, default="")

    objects = SignInRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="sign_in_request_wiped",
                condition=Q(asked_at=None, used_at=None, refused_reason="")
                | Q(scene="", ticket="", url="", code=""),
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="sign_in_request_open",
                condition=Q(used_at=None, refused_reason=""),
            ),
            models.Index(
                fields=["due_at"],
                name="sign_in_request_due",
                condition=Q(due_at__isnull=False),
            ),
            # How many requests an account had in the last hour.
            models.Index(fields=["account", "created_at"], name="sign_in_request_made"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_over(self) -> bool:
        """Whether the request has expired, even if its row does not say so yet."""
        return timezone.now() >= self.expires_at

    @property
    def sent_code(self) -> str:
        """The code to send, as `ABCD-2345`; "" if the request has a code to scan."""
        return as_sent(self.code)

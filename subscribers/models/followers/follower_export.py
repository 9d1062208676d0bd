"""The table of exports of followers; the worker writes their files."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount, private_files
from events.models.job import Job, JobQuerySet

__all__ = ["FollowerExport"]


class FollowerExportQuerySet(JobQuerySet["FollowerExport"]):
    def with_file(self) -> FollowerExportQuerySet:
        return self.exclude(file="")

    def downloadable(self, now: datetime.datetime) -> FollowerExportQuerySet:
        return self.with_file().filter(expires_at__gt=now)


class FollowerExport(Job):
    """A file of followers for one user. It has only what that user may see when it is written.

    Without an account it has the followers of all accounts that the user may see.
    """

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        XLSX = "xlsx", "XLSX"

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("requested by"),
    )
    conditions = models.JSONField(_("conditions"), default=dict)
    format = models.CharField(_("format"), max_length=4, choices=Format)
    language = models.CharField(max_length=16)
    requested_at = models.DateTimeField(_("requested"), default=timezone.now)
    written_at = models.DateTimeField(_("written"), null=True, blank=True)
    expires_at = models.DateTimeField(_("kept until"), null=True, blank=True)
    rows = models.PositiveBigIntegerField(_("followers"), null=True, blank=True)
    # What its user might see when the file was written (subscribers/segments/export.py).
    shows = models.JSONField(default=dict, editable=False)
    file = models.FileField(storage=private_files, upload_to="exports", blank=True, max_length=200)

    objects = FollowerExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("follower export")
        verbose_name_plural = _("follower exports")
        default_permissions = ("view", "add")
        indexes = [
            models.Index(
                fields=["due_at"],
                name="follower_export_due",
                condition=models.Q(due_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

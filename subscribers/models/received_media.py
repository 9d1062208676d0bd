"""The table of pictures, voice and video that followers sent, with the jobs that fetch them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount, private_files
from events.models.job import Job, JobQuerySet
from subscribers.models.subscriber import Subscriber

__all__ = ["ReceivedMedia"]


class ReceivedMedia(Job):
    """A message's file, and the job that fetches it. `event_id` is the message in the log."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.PROTECT, related_name="+", verbose_name=_("follower")
    )
    event_id = models.BigIntegerField(unique=True)
    event_time = models.DateTimeField()
    kind = models.CharField(max_length=16)
    file = models.FileField(storage=private_files, upload_to="received", blank=True, max_length=200)
    content_type = models.CharField(max_length=40, blank=True, default="")
    # The preview picture of a video; "" if WeChat gave none.
    poster = models.FileField(
        storage=private_files,
        upload_to="received",
        blank=True,
        default="",
        db_default="",
        max_length=200,
    )

    objects = JobQuerySet["ReceivedMedia"].as_manager()

    class Meta:
        verbose_name = _("file of a message")
        verbose_name_plural = _("files of messages")
        default_permissions = ("view",)
        indexes = [
            models.Index(
                fields=["due_at"],
                name="received_media_due",
                condition=models.Q(due_at__isnull=False),
            ),
            models.Index(fields=["event_time"], name="received_media_time"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

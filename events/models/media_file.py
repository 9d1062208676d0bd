"""The table of media files that operators uploaded; WeChat deletes each after three days."""

from __future__ import annotations

import datetime
from itertools import chain
from typing import Any

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount
from events.models.job import Job, JobQuerySet
from events.wechat.api.media import KEPT_DAYS

__all__ = ["MediaFile", "private_files", "remove_with_files"]

_FORGOTTEN_AFTER = datetime.timedelta(days=KEPT_DAYS)
# The worker uploads a file again this long before WeChat deletes it.
_AHEAD = datetime.timedelta(hours=12)
# The site uses no media_id in the last minutes of its life, because a message needs time to arrive.
_LAST_USE = datetime.timedelta(minutes=10)


def private_files() -> Storage:
    """Returns the storage whose files have no URL."""
    return storages["private"]


def remove_with_files(rows: models.QuerySet[Any]) -> int:
    """Removes rows, and their files after the commit; returns the number of rows."""
    columns = [f.name for f in rows.model._meta.fields if isinstance(f, models.FileField)]
    chosen: dict[Any, list[str]] = {}

    def remove_files() -> None:
        for name in filter(None, chain.from_iterable(chosen.values())):
            private_files().delete(name)

    with transaction.atomic():
        # Locked, because the worker may give a row a file meanwhile, which would stay behind.
        locked = rows.select_for_update(of=("self",)).values_list("pk", *columns)
        chosen.update({pk: names for pk, *names in locked})
        rows.model._default_manager.filter(pk__in=chosen).delete()
        transaction.on_commit(remove_files)
    return len(chosen)


class MediaFileQuerySet(JobQuerySet["MediaFile"]):
    def stale(self, now: datetime.datetime) -> MediaFileQuerySet:
        """Files that WeChat lacks or soon deletes, and that have neither a due nor a failed job."""
        soon = now - _FORGOTTEN_AFTER + _AHEAD
        return self.filter(Q(uploaded_at=None) | Q(uploaded_at__lte=soon), due_at=None, failure="")


class MediaFile(Job):
    """One file of an account; its job uploads it to WeChat."""

    class Kind(models.TextChoices):
        IMAGE = "image", _("picture")
        VOICE = "voice", _("voice")
        VIDEO = "video", _("video")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    title = models.CharField(_("title"), max_length=60)
    file = models.FileField(_("file"), storage=private_files, upload_to="media", max_length=200)
    content_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField(_("size"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    poster = models.FileField(
        _("poster of the video"),
        storage=private_files,
        upload_to="media",
        max_length=200,
        blank=True,
        default="",
        db_default="",
    )
    media_id = models.CharField(max_length=128, blank=True, default="")
    thumb_media_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    uploaded_at = models.DateTimeField(_("sent to WeChat"), null=True, blank=True)

    objects = MediaFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("media file")
        verbose_name_plural = _("media files")
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["due_at"], name="media_file_due", condition=Q(due_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def path(self) -> str:
        """The file's name in the storage."""
        return self.file.name or ""

    def id_at_wechat(self, now: datetime.datetime) -> str:
        """The media_id to send now; "" if WeChat no longer has the file."""
        if self.uploaded_at is None or self.uploaded_at + _FORGOTTEN_AFTER - _LAST_USE <= now:
            return ""
        return self.media_id

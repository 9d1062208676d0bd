"""The tables of tags (用户标签), and of tags and remarks that the worker writes to WeChat."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.job import Job, JobQuerySet
from subscribers.models.subscriber import Subscriber

__all__ = ["FollowerEdit", "FollowerTag", "TagRead"]


class FollowerTag(models.Model):
    """One tag as WeChat has it. `number` is WeChat's id, `follower_count` WeChat's count."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="+",
        verbose_name=_("Official Account"),
    )
    number = models.PositiveIntegerField()
    name = models.CharField(_("name"), max_length=64)
    follower_count = models.PositiveIntegerField(_("followers"), default=0)

    class Meta:
        verbose_name = _("tag (标签)")
        verbose_name_plural = _("tags (标签)")
        default_permissions = ()
        ordering = ["name", "number"]
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="follower_tag_one_per_id"),
        ]

    def __str__(self) -> str:
        return self.name


class TagRead(Job):
    """The job that reads the names of one account's tags from WeChat."""

    account = models.OneToOneField(
        OfficialAccount,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    read_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet["TagRead"].as_manager()

    class Meta:
        verbose_name = _("names of tags")
        verbose_name_plural = _("names of tags")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.account.name


class FollowerEdit(Job):
    """The job that puts a tag on up to 50 followers or takes it off, or writes one's remark.

    `people` has the followers' ids. The remark is deleted here once WeChat has it.
    """

    class Act(models.TextChoices):
        TAG = "tag", _("put the tag on")
        UNTAG = "untag", _("take the tag off")
        REMARK = "remark", _("write the remark")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    act = models.CharField(_("act"), max_length=8, choices=Act)
    tag_name = models.CharField(_("tag (标签)"), max_length=64, blank=True, default="")
    people = models.JSONField(default=list)
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    remark = models.CharField(_("remark"), max_length=100, blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    objects = JobQuerySet["FollowerEdit"].as_manager()

    class Meta:
        verbose_name = _("change of followers at WeChat")
        verbose_name_plural = _("changes of followers at WeChat")
        default_permissions = ("view",)
        indexes = [
            models.Index(
                fields=["due_at"],
                name="follower_edit_due",
                condition=models.Q(due_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

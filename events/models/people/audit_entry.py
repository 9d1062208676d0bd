"""The table of what users, keys and the site did (审计日志): rows are added, never changed."""

from __future__ import annotations

import datetime
from typing import Any, NoReturn

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["AppendOnly", "AuditEntry", "AuditEntryQuerySet", "AuditRemoval"]


class AppendOnly(TypeError):
    """A program tried to change or remove an audit entry. Only retention removes old ones."""


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def about(self, row: models.Model) -> AuditEntryQuerySet:
        """The history of one row, latest first."""
        return self.filter(model=row._meta.label_lower, object_id=str(row.pk)).order_by("-pk")

    def forget_before(self, moment: datetime.datetime) -> int:
        """Removes older entries; returns how many."""
        with transaction.atomic(using=self.db):
            removal = AuditRemoval.objects.using(self.db).create(before=moment)
            removed = self.filter(at__lt=moment).order_by()._raw_delete(self.db)
            removal.delete()
        return removed

    def update(self, **values: Any) -> NoReturn:
        raise AppendOnly("audit entries are never changed")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly("audit entries are never changed")

    def delete(self) -> NoReturn:
        raise AppendOnly("audit entries are not removed")


class AuditEntry(models.Model):
    """One act: who did what to which row, from where, with the values before and after.

    An entry has no foreign key in the database, so it stays when the named row is gone. It contains
    no OpenID, message or secret, so an erasure has nothing to erase. `changes` has for each field
    the value before and after; `details` has all other facts. On both databases triggers refuse to
    change an entry, and to remove one without an AuditRemoval.
    """

    class Way(models.TextChoices):
        PAGE = "page", _("page")
        API = "api", "API"
        COMMAND = "command", _("command")
        SITE = "site", _("the site itself")

    at = models.DateTimeField(_("time"))
    user_id = models.BigIntegerField(null=True, editable=False)
    user_name = models.CharField(_("user"), max_length=150, blank=True)
    key_id = models.BigIntegerField(null=True, editable=False)
    key_name = models.CharField(_("API key"), max_length=100, blank=True)
    way = models.CharField(_("by way of"), max_length=7, choices=Way.choices)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    act = models.CharField(_("act"), max_length=64)
    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    model = models.CharField(max_length=100, blank=True, editable=False)
    object_id = models.CharField(max_length=64, blank=True, editable=False)
    object_name = models.CharField(_("object"), max_length=200, blank=True)
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["model", "object_id", "-id"], name="audit_object"),
            models.Index(fields=["user_name", "-id"], name="audit_user"),
            models.Index(fields=["act", "-id"], name="audit_act"),
            models.Index(fields=["address", "-id"], name="audit_address"),
            models.Index(fields=["account", "-id"], name="audit_account"),
            # The old entries, for retention.
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly("audit entries are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly("audit entries are not removed")


class AuditRemoval(models.Model):
    """Tells the trigger that retention removes entries older than `before`.

    Retention adds the row and removes it again in the transaction that removes the entries, so no
    other transaction ever sees it.
    """

    before = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"before {self.before:%Y-%m-%d %H:%M:%S}"

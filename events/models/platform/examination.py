"""The table of the doctor's last visits, one row for each account."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["LastExamination"]


class LastExamination(models.Model):
    """What the doctor found last: `findings` by code and details.

    Nothing here is a secret or names a follower.
    """

    account = models.OneToOneField(
        OfficialAccount,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="last_examination",
        verbose_name=_("Official Account"),
    )
    at = models.DateTimeField(_("examined"))
    findings = models.JSONField(default=list)

    class Meta:
        verbose_name = _("examination")
        verbose_name_plural = _("examinations")
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"

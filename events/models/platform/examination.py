"""The table of the doctor's last examinations, one row for each account."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["LastExamination"]


class LastExamination(models.Model):
    """The doctor's last findings about an account: a list of codes with details.

    They contain no secret and name no follower.
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

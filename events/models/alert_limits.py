"""The table of the limits above which alerts begin."""

from __future__ import annotations

from django.db import models
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["AlertLimits"]


class AlertLimits(models.Model):
    """The limits that an operator has set, by their names in `events.limits`.

    A row without an account holds for the site, and for each account that has no limit of its own.
    """

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    limits = models.JSONField(_("limits"), default=dict)

    class Meta:
        verbose_name = _("limits of alerts")
        verbose_name_plural = _("limits of alerts")
        ordering = ["account"]
        constraints = [
            # In SQL NULL differs from NULL, so take 0 for the row of the site.
            models.UniqueConstraint(
                Coalesce("account", Value(0, models.BigIntegerField())),
                name="alert_limits_once",
                violation_error_message=_("There are limits of these already: change those."),
            )
        ]

    def __str__(self) -> str:
        return self.account.name if self.account else gettext("the site")

"""The table of segments (人群): filters of the list of followers under a name."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount

__all__ = ["Segment"]


class Segment(models.Model):
    """Conditions on the followers of one account, by the names of subscribers.segments.conditions.

    A segment stores no followers; each use looks them up.
    """

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="+",
        verbose_name=_("Official Account"),
    )
    name = models.CharField(_("name"), max_length=60)
    conditions = models.JSONField(_("conditions"), default=dict)

    class Meta:
        verbose_name = _("segment")
        verbose_name_plural = _("segments")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="segment_one_per_name"),
        ]

    def __str__(self) -> str:
        return self.name

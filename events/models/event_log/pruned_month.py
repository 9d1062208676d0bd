"""The table of months whose events retention removed from the log."""

from __future__ import annotations

from django.db import models

__all__ = ["PrunedMonth"]


class PrunedMonth(models.Model):
    """A month of event_time whose rows were removed from the log, or brought back to it.

    Rows of a month can arrive after its removal (an import); they are the next part of it.
    """

    month = models.DateField(unique=True)
    # The last part whose removal has begun; its archive is called by this number.
    part = models.PositiveSmallIntegerField(default=0)
    is_archived = models.BooleanField(default=False)
    rows = models.PositiveBigIntegerField(default=0)
    began_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Rows brought back from an archive are not removed again before this.
    keep_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"

    @property
    def is_under_way(self) -> bool:
        return self.began_at is not None and self.finished_at is None

"""The table of months whose events retention removed from the log."""

from __future__ import annotations

from django.db import models

__all__ = ["PrunedMonth"]


class PrunedMonth(models.Model):
    """A month of event_time whose rows retention removed from the log, or an archive brought back.

    Rows of a month can arrive after its removal, by an import. They form its next part.
    """

    month = models.DateField(unique=True)
    # The last part whose removal has begun; the name of its archive has this number.
    part = models.PositiveSmallIntegerField(default=0)
    is_archived = models.BooleanField(default=False)
    rows = models.PositiveBigIntegerField(default=0)
    began_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Retention does not remove rows from an archive again before this time.
    keep_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"

    @property
    def is_under_way(self) -> bool:
        return self.began_at is not None and self.finished_at is None

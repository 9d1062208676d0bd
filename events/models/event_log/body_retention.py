"""The table that records how far the removal of old bodies has come."""

from __future__ import annotations

from django.db import models

__all__ = ["BodyRetention"]


class BodyRetention(models.Model):
    """The last event, in the order of receipt, whose body the worker has checked; one row."""

    received_at = models.DateTimeField(null=True)
    event_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"#{self.event_id}"

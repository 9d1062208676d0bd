"""The table that remembers how far the removal of old bodies has come."""

from __future__ import annotations

from django.db import models

__all__ = ["BodyRetention"]


class BodyRetention(models.Model):
    """One row: the last event, in the order of receipt, whose body the worker has looked at."""

    received_at = models.DateTimeField(null=True)
    event_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"#{self.event_id}"

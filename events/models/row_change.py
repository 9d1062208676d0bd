"""The table of changes: one row for each row of the API that changed after it was made."""

from __future__ import annotations

from django.db import models

__all__ = ["RowChange"]


class RowChange(models.Model):
    """The last change of a row of the API. Triggers write it (events/db/schema/change_triggers.py).

    `seq` grows with every change of a type. A statement takes it while it holds the lock of this
    table, so readers can read it in order like the ids of the log (events/log/settled.py). Only a
    deleted row has an `account_id`: it says who may know of the deletion.
    """

    type = models.CharField(max_length=16)
    object_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    account_id = models.BigIntegerField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["type", "object_id"], name="row_change_last"),
        ]
        indexes = [models.Index(fields=["type", "seq"], name="row_change_order")]

    def __str__(self) -> str:
        return f"{self.type} #{self.object_id}"

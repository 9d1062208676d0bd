"""Locks rows before they are deleted, against deadlocks.

Django deletes the children of a row before the row. Other code locks the row before its children.
Without the lock, each of the two would wait for the other.
"""

from __future__ import annotations

from typing import Any

from django.db import models, transaction

__all__ = ["LockedDeletion", "LockedDeletionQuerySet"]


class LockedDeletionQuerySet:
    """Locks rows before it deletes them; name it before the query set in a class's bases."""

    def lock(self) -> None:
        """Locks the rows, and their children where needed, until the transaction ends."""
        raise NotImplementedError

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            self.lock()
            deleted: tuple[int, dict[str, int]] = super().delete()  # type: ignore[misc]
            return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class LockedDeletion(models.Model):
    """A row that is locked before it is deleted, by its manager's LockedDeletionQuerySet."""

    class Meta:
        abstract = True

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            rows: Any = type(self)._default_manager.filter(pk=self.pk)
            rows.lock()
            return super().delete(*args, **kwargs)

    delete.alters_data = True  # type: ignore[attr-defined]

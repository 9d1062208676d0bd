"""Tells a user who saves a form what colleagues saved after the page was opened.

Without this the later of two forms would silently undo the earlier one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from events.admin.history import field_in_words, who
from events.models import AuditEntry

__all__ = ["SEEN", "last_change", "refusing"]

# The hidden input with the number of the last change that the page shows.
SEEN = "seen_change"


def last_change(model: type[Model], key: str) -> int:
    """Returns the number of the last entry about the row with this key; 0 if there is none."""
    entries = AuditEntry.objects.filter(model=model._meta.label_lower, object_id=key)
    return entries.order_by("-pk").values_list("pk", flat=True).first() or 0


def refusing(form: Any, row: Model, seen: int, *, but: Collection[str]) -> Any:
    """Returns a form class that is not valid if somebody changed the row after the entry `seen`.

    A change of only the columns in `but` does not count.
    """

    class Refusing(form):
        def clean(self) -> Any:
            cleaned = super().clean()
            change = _change_since(row, seen, but)
            if change is not None:
                self.add_error(None, _in_words(change, row))
            return cleaned

    return Refusing


def _change_since(row: Model, seen: int, but: Collection[str]) -> AuditEntry | None:
    later = AuditEntry.objects.about(row).filter(pk__gt=seen).exclude(way=AuditEntry.Way.SITE)
    return next((entry for entry in later if entry.changes.keys() - set(but)), None)


def _in_words(change: AuditEntry, row: Model) -> str:
    fields = [field_in_words(type(row), name) for name in change.changes]
    return _(
        "%(who)s saved this at %(at)s, after this page was opened: %(fields)s. Save again to "
        "replace it with what is written here, or open the page anew to see it."
    ) % {
        "who": who(change),
        "at": f"{timezone.localtime(change.at):%H:%M:%S}",
        "fields": _(", ").join(fields),
    }

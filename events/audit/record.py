"""Records an act, in the transaction of the act."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db.models import Model
from django.utils import timezone, translation

from events.audit.context import act_under_way, actor
from events.models import AuditEntry, OfficialAccount

__all__ = ["name_of", "record", "record_look_at_list"]

# Seconds. Several views of a list by one user or key with the same filters are one entry.
_ONE_LOOK = 3600
_MOST_FILTERS = 50


def name_of(row: Model) -> str:
    """Returns the row's name in the site's language, not in the page's."""
    with translation.override(settings.LANGUAGE_CODE):
        return str(row)


def record(
    act: str,
    target: Model | type[Model] | None = None,
    *,
    name: str = "",
    account: OfficialAccount | None = None,
    changes: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    user_name: str | None = None,
) -> AuditEntry:
    """Adds an entry about a row, or about a table as a whole.

    `name` is the row's name in words. Give none for a follower or a follower's message, because
    OpenIDs and texts must not survive an erasure. `user_name` is the name that a visitor claims.
    """
    who = actor()
    row = target if isinstance(target, Model) else None
    entry = AuditEntry(
        at=timezone.now(),
        act=act_under_way() or act,
        way=who.way,
        user_id=who.user_id,
        user_name=(who.user_name if user_name is None else user_name)[:150],
        key_id=who.key_id,
        key_name=who.key_name[:100],
        address=who.address,
        account_id=account.pk if account is not None else _account_of(row),
        model=target._meta.label_lower if target is not None else "",
        object_id=str(row.pk)[:64] if row is not None and row.pk is not None else "",
        object_name=name[:200],
        changes=changes or {},
        details=details or {},
    )
    entry.save(force_insert=True)
    return entry


def record_look_at_list(model: type[Model], filters: list[str]) -> None:
    """Notes that a user saw a list with personal data, once an hour for the same filters.

    It stores the names of the filters, but not their values, which may be OpenIDs.
    """
    who = actor()
    names = sorted({name[:64] for name in filters})[:_MOST_FILTERS]
    look = (model._meta.label, who.user_id, who.key_id, who.address, names)
    key = hashlib.sha256(repr(look).encode()).hexdigest()
    if caches["process"].add(f"audit.{key}", 1, _ONE_LOOK):
        record("list", model, details={"filters": names} if names else None)


def _account_of(row: Model | None) -> int | None:
    if isinstance(row, OfficialAccount):
        return row.pk
    return getattr(row, "account_id", None)

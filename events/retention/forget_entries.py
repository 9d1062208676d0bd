"""Removes audit entries after the time in the settings."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.utils import timezone

from events.models import AuditEntry

__all__ = ["forget_old_entries"]


def forget_old_entries(now: datetime.datetime | None = None) -> int:
    """Removes entries older than AUDIT_RETENTION_DAYS; returns how many."""
    days = settings.AUDIT_RETENTION_DAYS
    if days is None:
        return 0
    before = (now or timezone.now()) - datetime.timedelta(days=days)
    return AuditEntry.objects.forget_before(before)

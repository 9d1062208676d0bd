"""Removes old months of the log at once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from events.retention.prune import prune, retention_limit


class Command(BaseCommand):
    help = (
        "Removes the months of the log that lie before EVENT_RETENTION_DAYS, each as a whole. What "
        "they say of followers is kept; with EVENT_ARCHIVE_DIR set, so are the rows, in files."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = retention_limit(timezone.now())
        if limit is None:
            self.stdout.write("EVENT_RETENTION_DAYS is not set: everything is kept.")
            return
        removed = prune(report=self.stdout.write)
        self.stdout.write(f"{removed} rows removed; the log begins with {limit:%Y-%m}")

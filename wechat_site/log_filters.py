"""A filter that shortens what the log says of refused requests."""

from __future__ import annotations

import logging

__all__ = ["OwnFaultsFilter"]


class OwnFaultsFilter(logging.Filter):
    """Keeps tracebacks only for faults of ours: a 403 or a bad Host is one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", 500)
        if record.name.startswith("django.security.") or status < 500:
            record.exc_info = record.exc_text = None
        return True

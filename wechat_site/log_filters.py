"""A filter that shortens log messages about refused requests."""

from __future__ import annotations

import logging

__all__ = ["OwnFaultsFilter"]


class OwnFaultsFilter(logging.Filter):
    """Removes the traceback of a refused request, such as a 403 or a bad Host."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", 500)
        if record.name.startswith("django.security.") or status < 500:
            record.exc_info = record.exc_text = None
        return True

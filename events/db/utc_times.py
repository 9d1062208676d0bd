"""Reads PostgreSQL's times in a fifth of the time that Django's way takes.

Django lets the driver's Python code parse the text, and then replaces the time zone. That takes
2.4 µs for each time, and a row of the log has three. Sessions are in UTC, so fromisoformat() reads
the same time from the text.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.types.datetime import TimestamptzLoader

__all__ = ["read_quickly"]


class _Loader(TimestamptzLoader):
    # Django compares this attribute with the zone of its connection.
    timezone = datetime.UTC

    def load(self, data: Any) -> datetime.datetime:
        try:
            return datetime.datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            # Infinity, and years outside Python's range.
            return super().load(data)


def read_quickly(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """Registers the quick reader on a new connection; a receiver of connection_created."""
    if connection.vendor == "postgresql" and connection.timezone == datetime.UTC:
        connection.connection.adapters.register_loader("timestamptz", _Loader)

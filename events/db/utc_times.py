"""Reads PostgreSQL's times in a fifth of the time that Django's way takes.

Django has the driver's Python code take them apart and then replaces the time zone: 2.4 µs for each
time, where a row of the log has three. Sessions are in UTC, so Python reads the same from the text.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.types.datetime import TimestamptzLoader

__all__ = ["read_quickly"]


class _Loader(TimestamptzLoader):
    # Django compares it with the zone of its connection.
    timezone = datetime.UTC

    def load(self, data: Any) -> datetime.datetime:
        try:
            return datetime.datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            # Infinity, and years that Python has not.
            return super().load(data)


def read_quickly(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """Gives a new connection this way of reading; a receiver of connection_created."""
    if connection.vendor == "postgresql" and connection.timezone == datetime.UTC:
        connection.connection.adapters.register_loader("timestamptz", _Loader)

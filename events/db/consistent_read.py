from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

__all__ = ["read_snapshot"]


@contextmanager
def read_snapshot(before: Callable[[], None] | None = None) -> Iterator[None]:
    """All reads inside see one moment, while others go on writing.

    Inside an outer transaction they share its view. `before` can take locks in the
    transaction while it has no view yet.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if before is not None:
                before()
            yield
    else:
        # atomic() would hold SQLite's write lock during the read. A deferred transaction reads one
        # state of the write-ahead log and blocks no writer.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

"""Reads that all see the data of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

__all__ = ["read_snapshot"]


@contextmanager
def read_snapshot(before: Callable[[], None] | None = None) -> Iterator[None]:
    """All reads in the block see the data of one moment, while others go on writing.

    Inside an outer transaction the reads share its view. On PostgreSQL `before` runs at the start
    of the transaction, before its view is fixed, so that it can take locks.
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
        # atomic() would hold SQLite's write lock during the read. A deferred transaction sees one
        # state of the write-ahead log and blocks no writer.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

"""What SQLite's planner is told about the log, so that it chooses the same index on every site.

Without statistics it takes all indexes for equally good: of an account's events of a rare kind it
may read the whole account. ANALYZE would count the log of the day it is run, which on a new site is
empty. So the table it fills, which may be written by hand (https://sqlite.org/fileformat2.html,
"The sqlite_stat1 Table"), gets the proportions of a large log after every migration.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import Model

from events.models import EventLog

__all__ = ["SHARED", "describe", "describe_log"]

_ROWS = 10_000_000
# Half of the events share an account, while a follower has twenty.
SHARED = {
    "unique": (_ROWS, 5_000_000),
    "event_account": (_ROWS, 5_000_000),
    "event_account_time": (_ROWS, 5_000_000),
    "event_by_time": (_ROWS, 1),
    "event_by_receipt": (_ROWS, 1),
    "event_kind": (_ROWS, 500_000),
    "event_key_prefix": (6_000_000, 60_000),
    "event_scene": (1_500_000, 5_000),
    "event_openid": (_ROWS, 20),
    "event_status": (10_000, 2_500),
    "event_due": (1_000, 1),
}


def describe_log(*, using: str, **signal: Any) -> None:
    """Writes the log's statistics; a receiver of post_migrate."""
    describe(EventLog, SHARED, using=using)


def describe(model: type[Model], shared: dict[str, tuple[int, int]], *, using: str) -> None:
    """Writes a model's statistics, if the database is SQLite.

    `shared` has for each index its rows, and how many of them share its first column; "unique" is
    the index of the unique constraint.
    """
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    table = model._meta.db_table
    with connection.cursor() as cursor:
        # Makes the table of statistics, reading hardly more than one row of each index.
        cursor.execute("PRAGMA analysis_limit = 1")
        cursor.execute(f'ANALYZE "{table}"')
        cursor.execute("PRAGMA analysis_limit = 0")
        cursor.execute("DELETE FROM sqlite_stat1 WHERE tbl = %s", [table])
        cursor.execute(f'PRAGMA index_list("{table}")')
        for _number, name, _unique, origin, _partial in cursor.fetchall():
            numbers = shared.get("unique" if origin == "u" else name)
            if numbers is None:
                continue
            cursor.execute(f'PRAGMA index_info("{name}")')
            further = [1] * (len(cursor.fetchall()) - 1)
            cursor.execute(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (%s, %s, %s)",
                [table, name, " ".join(map(str, [*numbers, *further]))],
            )
        # Has them read by this connection; others read them when they open the database.
        cursor.execute("ANALYZE sqlite_schema")

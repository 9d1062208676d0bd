"""Writes statistics for SQLite's planner, so that it chooses the same index on every site.

The statistics describe every index as that of a large table, and say how many rows share a value of
the index's first column. A new index needs no further entry. PRAGMA optimize cannot do this.
Measured on a million events, in steps of SQLite 3.40's virtual machine:

| read | as written here | no statistics | ANALYZE, analysis_limit = 400 |
|---|---|---|---|
| the log, newest first | 4,000 | 4,000 | 51,001,000 |
| the log, received_before | 4,000 | 4,000 | 52,998,000 |
| an account's events of a rare kind | 2,000 | 7,002,000 | 7,002,000 |
| the list of QR codes | 997,000 | 10,088,000 | |

With a limit, ANALYZE estimates 230 rows for a large account, so the planner sorts the whole log.
Without a limit, ANALYZE reads the whole log. On a new site it finds empty tables and writes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connections
from django.db.models import Model

__all__ = ["describe"]


def describe(
    model: type[Model], *, rows: int, sharing: Mapping[str, int], few: Mapping[str, int], using: str
) -> None:
    """Writes a model's statistics, if the database is SQLite and has its table.

    `sharing` says for a column how many of the `rows` share a value; the key "" stands for an
    expression. A column without an entry has one row for each value. `few` says how many rows a
    small partial index holds. https://sqlite.org/fileformat2.html describes the table ("The
    sqlite_stat1 Table").
    """
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return
        # ANALYZE creates the table of statistics. The limit makes it read about one row per index.
        cursor.execute("PRAGMA analysis_limit = 1")
        cursor.execute(f'ANALYZE "{table}"')
        cursor.execute("PRAGMA analysis_limit = 0")
        cursor.execute("DELETE FROM sqlite_stat1 WHERE tbl = %s", [table])
        cursor.execute(f'PRAGMA index_list("{table}")')
        for _number, index, *_rest in cursor.fetchall():
            columns = _columns_of(cursor, index)
            held = few.get(index, rows)
            same = min(sharing.get(columns[0], 1), held // 2)
            numbers = [held, same, *[1] * (len(columns) - 1)]
            cursor.execute(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (%s, %s, %s)",
                [table, index, " ".join(map(str, numbers))],
            )
        # This connection loads the statistics now, others when they open the database.
        cursor.execute("ANALYZE sqlite_schema")


def _columns_of(cursor: Any, index: str) -> list[str]:
    """Returns the columns of an index in their order, "" for an expression."""
    cursor.execute(f'PRAGMA index_info("{index}")')
    return [name or "" for _position, _column, name in cursor.fetchall()]

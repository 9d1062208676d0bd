"""Inserts many rows, or combines them with stored ones, by one constant statement.

Every push writes into the log and into the followers. For speed these two statements use neither
the ORM nor Django's cursors: on PostgreSQL one prepared statement takes all rows as arrays, on
SQLite the driver repeats a compiled statement.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["FUNCTIONS", "Upsert", "sql_type"]

# SQL by vendor: functions of several arguments, and the current time. The time comes from the
# database, because a statement must read it while it holds its lock (events/log/settled.py).
FUNCTIONS = {
    "postgresql": {"least": "LEAST", "greatest": "GREATEST", "now": "clock_timestamp()"},
    "sqlite": {
        "least": "MIN",
        "greatest": "MAX",
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    },
}

_Row = Sequence[Any]


class Upsert:
    """An INSERT of a model's rows. A row whose key exists is updated, or skipped without `update`.

    A row has the columns in `key`, which have a unique constraint, then those in `values`; the
    other columns get their field's default. `update` maps columns of the stored row to SQL
    expressions: `old` is the stored row, `excluded` the new one; `{least}`, `{greatest}` and
    `{now}` become the database's `FUNCTIONS`. `computed` maps columns of a new row to expressions,
    which may also use these functions.
    """

    def __init__(
        self,
        model: type[models.Model],
        *,
        key: Sequence[str],
        values: Sequence[str],
        update: Mapping[str, str],
        returning: Sequence[str] = (),
        computed: Mapping[str, str] | None = None,
    ) -> None:
        self._table = model._meta.db_table
        self._names = [*key, *values]
        by_name = {field.attname: field for field in model._meta.concrete_fields}
        self._fields = [by_name.pop(name) for name in self._names]
        self._defaults = {
            name: _literal(field.get_default())
            for name, field in by_name.items()
            if not (field.primary_key or field.generated)
        } | dict(computed or {})
        self._key = list(key)
        self._update = update
        self._returning = returning
        self._moments = [
            position
            for position, field in enumerate(self._fields)
            if isinstance(field, models.DateTimeField)
        ]
        self._statements: dict[str, str] = {}

    @property
    def columns(self) -> dict[str, models.Field[Any, Any]]:
        """The columns of a row, in order."""
        return dict(zip(self._names, self._fields, strict=True))

    def from_select(self, connection: BaseDatabaseWrapper, columns: str, source: str) -> str:
        """Returns an INSERT of rows that a SELECT makes.

        `columns` is the SQL for the values of the property `columns`; `source` is the SQL that
        begins with FROM.
        """
        functions = FUNCTIONS[connection.vendor]
        rest = [expression.format(**functions) for expression in self._defaults.values()]
        return self._insert(connection, f"SELECT {', '.join([columns, *rest])} {source}")

    def execute(self, connection: BaseDatabaseWrapper, rows: Sequence[_Row]) -> list[_Row]:
        """Writes the rows, which must have different keys; returns `returning` of each, in order.

        Raises DatabaseError.
        """
        connection.ensure_connection()
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors:
            if connection.vendor == "postgresql":
                return self._execute_arrays(connection, rows)
            return self._execute_each(connection, rows)

    def _execute_arrays(self, connection: BaseDatabaseWrapper, rows: Sequence[_Row]) -> list[_Row]:
        columns = [list(column) for column in zip(*rows, strict=True)]
        # Django's own cursor would write the values into the statement.
        with psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(self._statement(connection), columns, prepare=True)
            if not self._returning:
                return []
            width = len(self._key)
            by_key = {row[:width]: row[width:] for row in cursor.fetchall()}
        return [by_key[tuple(row[:width])] for row in rows]

    def _execute_each(self, connection: BaseDatabaseWrapper, rows: Sequence[_Row]) -> list[_Row]:
        statement, execute = self._statement(connection), connection.connection.execute
        written = connection.ops.adapt_datetimefield_value
        # Cached, because most times of a row are equal.
        texts: dict[datetime.datetime | None, str | None] = {None: None}
        results = []
        for row in rows:
            values = list(row)
            for position in self._moments:
                moment = values[position]
                if moment not in texts:
                    texts[moment] = written(moment)
                values[position] = texts[moment]
            results.append(execute(statement, values).fetchone())
        return results

    def _statement(self, connection: BaseDatabaseWrapper) -> str:
        statement = self._statements.get(connection.vendor)
        if statement is None:
            statement = self._statements[connection.vendor] = self._composed(connection)
        return statement

    def _composed(self, connection: BaseDatabaseWrapper) -> str:
        if connection.vendor == "postgresql":
            types = [f"%b::{sql_type(field, connection)}[]" for field in self._fields]
            return self.from_select(
                connection, "given.*", f"FROM unnest({', '.join(types)}) AS given"
            )
        functions = FUNCTIONS[connection.vendor]
        rest = [expression.format(**functions) for expression in self._defaults.values()]
        values = ", ".join(["?"] * len(self._names) + rest)
        return self._insert(connection, f"VALUES ({values})")

    def _insert(self, connection: BaseDatabaseWrapper, source: str) -> str:
        quote = connection.ops.quote_name
        is_postgres = connection.vendor == "postgresql"
        functions = FUNCTIONS[connection.vendor]
        columns = ", ".join(map(quote, [*self._names, *self._defaults]))
        assignments = ", ".join(
            f"{quote(name)} = {expression.format(**functions)}"
            for name, expression in self._update.items()
        )
        conflict = f"UPDATE SET {assignments}" if assignments else "NOTHING"
        statement = (
            f"INSERT INTO {quote(self._table)} AS old ({columns}) "
            f"{source} ON CONFLICT ({', '.join(map(quote, self._key))}) DO {conflict}"
        )
        if self._returning:
            # PostgreSQL may return the rows in any order, so return their keys too.
            returned = [*(self._key if is_postgres else ()), *self._returning]
            statement += f" RETURNING {', '.join(map(quote, returned))}"
        return statement


def _literal(default: str | int | None) -> str:
    """Returns a default as SQL; raises ValueError for kinds that these tables do not have."""
    match default:
        case None:
            return "NULL"
        case "":
            return "''"
        case int():
            return str(default)
        case _:
            raise ValueError(f"{default!r} is not a default this statement can write")


def sql_type(field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    """Returns the type to which PostgreSQL casts a parameter for this column."""
    # A cast to varchar(64)[] would cut a long value silently. As text the column checks its length.
    type_ = re.sub(r"^varchar\(\d+\)$", "text", field.db_type(connection) or "")
    return type_.replace("timestamp with time zone", "timestamptz")

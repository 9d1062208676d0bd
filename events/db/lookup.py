"""Reads the rows of given keys by one constant statement.

It does for reading what `Upsert` does for writing: on PostgreSQL one prepared statement takes all
keys as arrays, on SQLite the driver repeats a compiled statement. The ORM would write each key into
the statement. For keys of several columns it could only select a superset of the rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from events.db.upsert import sql_type

__all__ = ["Lookup"]

_Row = Sequence[Any]


class Lookup:
    """A SELECT of `columns` from the rows of a model that have one of the given keys.

    An index should begin with the columns in `key`.
    """

    def __init__(
        self, model: type[models.Model], *, key: Sequence[str], columns: Sequence[str]
    ) -> None:
        by_name = {field.attname: field for field in model._meta.concrete_fields}
        self._table = model._meta.db_table
        self._key = [by_name[name] for name in key]
        self._columns = [by_name[name] for name in columns]
        self._statements: dict[str, str] = {}

    def execute(self, connection: BaseDatabaseWrapper, keys: Iterable[_Row]) -> list[_Row]:
        """Returns the rows of these keys, in any order. Raises DatabaseError."""
        wanted = sorted(set(map(tuple, keys)))
        if not wanted:
            return []
        connection.ensure_connection()
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors:
            if connection.vendor == "postgresql":
                return self._execute_arrays(connection, wanted)
            return self._execute_each(connection, wanted)

    def _execute_arrays(self, connection: BaseDatabaseWrapper, keys: Sequence[_Row]) -> list[_Row]:
        arrays = [list(column) for column in zip(*keys, strict=True)]
        # Django's own cursor would write the values into the statement.
        with psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(self._statement(connection), arrays, prepare=True, binary=True)
            return cursor.fetchall()

    def _execute_each(self, connection: BaseDatabaseWrapper, keys: Sequence[_Row]) -> list[_Row]:
        statement, execute = self._statement(connection), connection.connection.execute
        found: list[Any] = []
        for key in keys:
            found += execute(statement, key)
        # The driver returns times without their zone, which is UTC.
        moments = [
            place
            for place, field in enumerate(self._columns)
            if isinstance(field, models.DateTimeField)
        ]
        return [_in_utc(row, moments) for row in found] if moments else found

    def _statement(self, connection: BaseDatabaseWrapper) -> str:
        statement = self._statements.get(connection.vendor)
        if statement is None:
            statement = self._statements[connection.vendor] = self._composed(connection)
        return statement

    def _composed(self, connection: BaseDatabaseWrapper) -> str:
        quote = connection.ops.quote_name
        columns = ", ".join(f"stored.{quote(field.attname)}" for field in self._columns)
        key = [f"stored.{quote(field.attname)}" for field in self._key]
        if connection.vendor == "postgresql":
            types = ", ".join(f"%b::{sql_type(field, connection)}[]" for field in self._key)
            names = [f"k{place}" for place, _ in enumerate(key)]
            matches = " AND ".join(
                f"{column} = wanted.{name}" for column, name in zip(key, names, strict=True)
            )
            return (
                f"SELECT {columns} FROM unnest({types}) AS wanted ({', '.join(names)}) "
                f"JOIN {quote(self._table)} AS stored ON {matches}"
            )
        matches = " AND ".join(f"{column} = ?" for column in key)
        return f"SELECT {columns} FROM {quote(self._table)} AS stored WHERE {matches}"


def _in_utc(row: _Row, moments: Sequence[int]) -> _Row:
    values = list(row)
    for place in moments:
        at = values[place]
        if at is not None:
            values[place] = at.replace(tzinfo=datetime.UTC)
    return values

"""Makes the database views for reporting tools again after each `migrate`.

A migration cannot make them: to alter a table on SQLite, Django makes a new table, which fails
while a view reads the old one. So on SQLite they are dropped before `migrate` and made after it.
PostgreSQL replaces them in place, and keeps the rights of reading roles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["drop_views", "make_views"]

_READ = re.compile(r"\b(?:FROM|JOIN) ([a-z]+_[a-z]+)\b")


def make_views(connection: BaseDatabaseWrapper, views: Mapping[str, Mapping[str, str]]) -> None:
    """Makes each view from its SELECT for this vendor, if the tables that it reads exist."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        for name, by_vendor in views.items():
            if not set(_READ.findall(by_vendor[connection.vendor])) <= present:
                continue
            if is_sqlite:
                cursor.execute(f"DROP VIEW IF EXISTS {name}")
            create = "CREATE VIEW" if is_sqlite else "CREATE OR REPLACE VIEW"
            cursor.execute(f"{create} {name} AS {by_vendor[connection.vendor]}")


def drop_views(connection: BaseDatabaseWrapper, views: Mapping[str, Mapping[str, str]]) -> None:
    """Removes the views on SQLite; PostgreSQL keeps them."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for name in views:
                cursor.execute(f"DROP VIEW IF EXISTS {name}")

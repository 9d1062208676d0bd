"""The time by the database's clock, for `updated_at`."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Greatest

from events.db.upsert import FUNCTIONS

__all__ = ["CHANGED", "CHANGED_NOW", "NOW"]

# As SQL of an Upsert: for a new row, and for one that is there. It never goes backwards.
NOW = "{now}"
CHANGED = "{greatest}(old.updated_at, {now})"


class _Now(models.Func):
    """The time at which the statement runs, read under its lock."""

    arity = 0
    output_field = models.DateTimeField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template=FUNCTIONS["postgresql"]["now"])

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # A template is filled in once by Django, and once by its cursor.
        template = FUNCTIONS["sqlite"]["now"].replace("%", "%%%%")
        return super().as_sql(compiler, connection, template=template)


CHANGED_NOW = Greatest("updated_at", _Now())

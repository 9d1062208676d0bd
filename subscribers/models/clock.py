"""SQL for `updated_at`: the time by the database's clock."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Greatest

from events.db.upsert import FUNCTIONS

__all__ = ["CHANGED", "CHANGED_NOW", "NOW"]

# SQL for an Upsert: NOW for a new row, CHANGED for a row that exists. CHANGED never goes back.
NOW = "{now}"
CHANGED = "{greatest}(old.updated_at, {now})"


class _Now(models.Func):
    """The time at which the statement runs, read under its lock."""

    arity = 0
    output_field = models.DateTimeField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template=FUNCTIONS["postgresql"]["now"])

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Django fills in the template once, and its cursor once more.
        template = FUNCTIONS["sqlite"]["now"].replace("%", "%%%%")
        return super().as_sql(compiler, connection, template=template)


CHANGED_NOW = Greatest("updated_at", _Now())

"""The hour of a moment, computed by the database or in Python."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import models

__all__ = ["Hour", "hour_of"]


class Hour(models.Func):
    """The start of the UTC hour of a column's moment; NULL for NULL.

    It depends on no time zone setting, so a generated column may use it.
    """

    template = "date_trunc('hour', %(expressions)s AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
    arity = 1
    output_field = models.DateTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # SQLite stores moments as text, in UTC.
        template = "substr(%(expressions)s, 1, 13) || ':00:00'"
        return super().as_sql(compiler, connection, template=template, **context)


def hour_of(moment: datetime.datetime) -> datetime.datetime:
    """The start of the UTC hour of a moment."""
    return moment.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)

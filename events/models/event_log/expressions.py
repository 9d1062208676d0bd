"""Expressions that the log's indexes and queries write in exactly the same way."""

from __future__ import annotations

from typing import Any

from django.db import models

# PostgreSQL refuses an index entry above 2,704 bytes; 128 characters are at most 512 bytes.
EVENT_KEY_PREFIX_LENGTH = 128


class EventKeyPrefix(models.Func):
    """The indexed beginning of an EventKey.

    The numbers stand in the statement and not among its parameters, because SQLite uses an index on
    an expression only if the query has exactly the same expression.
    """

    function = "SUBSTR"
    template = f"%(function)s(%(expressions)s, 1, {EVENT_KEY_PREFIX_LENGTH})"
    arity = 1
    output_field = models.TextField()


class AnsweredUnusually(models.Func):
    """Exactly the condition of the index on `answered_by`.

    With parameters instead of the texts SQLite does not see that it can use the index, and reads
    the whole log.
    """

    template = "(NOT (%(expressions)s IN ('', 'reply')))"
    arity = 1
    output_field = models.BooleanField()


class AnsweredLate(models.Func):
    """Whether answered_at is over five seconds after received_at: after WeChat's first try.

    It is the condition of an index. There PostgreSQL refuses to add seconds to a time, because the
    result depends on the time zone. So this subtracts the times. SQLite's difference is in days as
    a float; round() makes exact milliseconds of it.
    """

    template = "(%(expressions)s > INTERVAL '5 seconds')"
    arg_joiner = " - "
    arity = 2
    output_field = models.BooleanField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler,
            connection,
            template="(round((julianday(%(expressions)s)) * 86400000) > 5000)",
            arg_joiner=") - julianday(",
            **context,
        )


class Unindexed(models.Func):
    """Appends '' so that the planner cannot use this column's index."""

    template = "(%(expressions)s || '')"
    arity = 1
    output_field = models.CharField()

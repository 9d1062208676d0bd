"""Expressions that the log's indexes and queries share, to the letter."""

from __future__ import annotations

from django.db import models

# PostgreSQL refuses an index entry above 2,704 bytes; 128 characters are 512 bytes at the most.
EVENT_KEY_PREFIX_LENGTH = 128


class EventKeyPrefix(models.Func):
    """As much of an EventKey as is indexed.

    The numbers stand in the statement rather than among its parameters, since SQLite uses an index
    on an expression only for the expression to the letter.
    """

    function = "SUBSTR"
    template = f"%(function)s(%(expressions)s, 1, {EVENT_KEY_PREFIX_LENGTH})"
    arity = 1
    output_field = models.TextField()


class AnsweredUnusually(models.Func):
    """The condition of the index on `answered_by`, to the letter.

    With parameters in the place of the texts SQLite does not know that the index will do, and reads
    the whole log.
    """

    template = "(NOT (%(expressions)s IN ('', 'reply')))"
    arity = 1
    output_field = models.BooleanField()


class Unindexed(models.Func):
    """Appends '' so that the planner cannot use this column's index."""

    template = "(%(expressions)s || '')"
    arity = 1
    output_field = models.CharField()

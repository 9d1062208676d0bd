"""A condition like `column__in=queryset` that makes PostgreSQL find the queryset's values first.

For IN, PostgreSQL joins both tables. If it expects many rows, it may read the whole larger table,
for example the counts of all accounts for those of one. With the values first it finds each one by
the index.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, F, Func, QuerySet, Subquery

__all__ = ["Among"]


class _Values(Subquery):
    # An empty queryset must match no row, not become NULL.
    empty_result_set_value = NotImplemented


class Among(Func):
    """Whether the column has one of the values of a queryset with a single column.

    Use it in a filter: `rows.filter(Among("series", chosen.values("pk")))`.
    """

    output_field = BooleanField()
    template = "%(expressions)s"
    arg_joiner = " IN "

    def __init__(self, column: str, values: QuerySet[Any, Any]) -> None:
        super().__init__(F(column), _Values(values))

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(
            compiler,
            connection,
            template="%(expressions)s)",
            arg_joiner=" = ANY(ARRAY",
            **more,
        )

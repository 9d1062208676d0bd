"""A condition like `column__in=queryset`, for which PostgreSQL finds the queryset's values first.

For IN it joins both tables, and may read the greater one as a whole where it expects many rows of
it: counts of all accounts for those of one. With the values at hand it goes to each by the index.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, F, Func, QuerySet, Subquery

__all__ = ["Among"]


class _Values(Subquery):
    # No value at all is no NULL: no row has one of them.
    empty_result_set_value = NotImplemented


class Among(Func):
    """Whether the column has one of the values of a queryset with a single column.

    To be filtered by: `rows.filter(Among("series", chosen.values("pk")))`.
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

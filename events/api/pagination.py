"""Pages without counts and offsets, which cost the same in a table of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.strict_filters import ORDERING
from events.db.keyset import RowCursor, page
from events.log.settled import Unsettled, settled_up_to, settled_upper_bound

if TYPE_CHECKING:
    from rest_framework.views import APIView

__all__ = [
    "RETRY_AFTER",
    "ChangePagination",
    "EventPagination",
    "NewestFirstPagination",
    "orderings",
]

# Seconds after which a client should repeat a sync that was not settled.
RETRY_AFTER = 2


class NewestFirstPagination(CursorPagination):
    """DRF's cursors with a position in the list, so that new rows do not shift the pages.

    A view says in `time_columns` which of its filters put the list in the order of a time.
    """

    ordering = "-id"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000

    def paginate_queryset(
        self,
        queryset: QuerySet[Any] | Sequence[Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any] | None:
        assert isinstance(queryset, QuerySet)
        self.base_url = request.build_absolute_uri()
        self.column, is_ascending = _order(request, view, queryset.model)
        cursor = self.decode_cursor(request)
        place = None if cursor is None else RowCursor.parse(str(cursor.position), self.column)
        # DRF passes an invented position unchanged to the database, so check it here. An offset is
        # for rows with equal positions; here are none, so the site's own cursors have no offset.
        if cursor and (cursor.offset or place is None):
            raise NotFound(self.invalid_cursor_message)
        is_back = bool(cursor and cursor.reverse)
        upwards = is_back != is_ascending
        size = self.get_page_size(request)
        leading = getattr(view, "leading_columns", {}).get(self.column)
        self.rows, more = page(
            queryset, size, column=self.column, cursor=place, upwards=upwards, leading=leading
        )
        if is_ascending:
            # page() returns the newest row first.
            self.rows = self.rows[::-1]
        self.has_next = bool(self.rows) and (is_back or more)
        self.has_previous = bool(self.rows) and (more if is_back else cursor is not None)
        return self.rows

    def get_next_link(self) -> str | None:
        return self._link(self.rows[-1], reverse=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        return self._link(self.rows[0], reverse=True) if self.has_previous else None

    def _link(self, row: Any, *, reverse: bool) -> str:
        # DRF accepts any text, but its types allow only numbers.
        position: Any = str(RowCursor.of(row, self.column))
        return str(self.encode_cursor(Cursor(offset=0, reverse=reverse, position=position)))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size}
        return [
            {
                "name": self.cursor_query_param,
                "in": "query",
                "description": "Where to go on, as `next` and `previous` have it.",
                "schema": {"type": "string"},
            },
            {
                "name": self.page_size_query_param,
                "in": "query",
                "description": "Rows of a page.",
                "schema": size | {"default": self.page_size},
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        following = "https://wechat.example.com/api/v1/events/?cursor=cD0yMDQ4"
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": link | {"example": following},
                "previous": link | {"example": None},
                "results": schema,
            },
        }

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("page_size")
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit() and len(given) <= 4):
            given = "0"
        if not 1 <= int(given) <= self.max_page_size:
            raise ValidationError(
                {"page_size": [_("A whole number from 1 to %s.") % self.max_page_size]}
            )
        return int(given)


def orderings(view: APIView | None, model: type[Model]) -> list[str]:
    """Returns the columns that can order a list of these rows, without a filter by a time."""
    columns: dict[str, str] = getattr(view, "time_columns", {})
    fields = model._meta
    # A cursor is a time, so every row must have one.
    times = [name for name in dict.fromkeys(columns.values()) if not fields.get_field(name).null]
    return ["id", *times]


def _order(request: Request, view: APIView | None, model: type[Model]) -> tuple[str | None, bool]:
    """Returns the time that orders the list, None for ids, and whether the oldest come first.

    Raises ValidationError for an `ordering` without an index.
    """
    columns: dict[str, str] = getattr(view, "time_columns", {})
    by_filter = (column for name, column in columns.items() if name in request.query_params)
    column = next(by_filter, None)
    written = request.query_params.get(ORDERING)
    if written is None:
        return column, False
    name = written.removeprefix("-")
    # The index of a filter by a time has only the order of this time.
    offered = orderings(view, model) if column is None else [column]
    if name not in offered:
        both = ", ".join(f"{name}, -{name}" for name in offered)
        raise ValidationError({ORDERING: [_("One of %s.") % both]}, code="invalid_choice")
    return None if name == "id" else name, not written.startswith("-")


class _Syncable(NewestFirstPagination):
    """Pages for clients that copy a table and later read the changes.

    `settled` in the answer says whether the page can be trusted to miss nothing. While a long
    transaction prevents that, it is false, and the answer has Retry-After and no rows.
    """

    is_settled: bool | None = None

    def _settled_response(self, response: Response) -> Response:
        if self.is_settled is not None:
            response.data["settled"] = self.is_settled
            if not self.is_settled:
                response["Retry-After"] = str(RETRY_AFTER)
        return response

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        whole = super().get_paginated_response_schema(schema)
        whole["properties"]["settled"] = {
            "type": "boolean",
            "description": "In a sync: false means that nothing is known yet, ask again.",
            "example": True,
        }
        return whole


class ChangePagination(_Syncable):
    """Newest first; with a filter by the time of a change it skips no change.

    It shows a change only when all earlier changes are visible. So the next sync can begin at the
    latest time of the first page. The view's `change_filter` names the filter.
    """

    def paginate_queryset(
        self,
        queryset: QuerySet[Any] | Sequence[Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any] | None:
        assert isinstance(queryset, QuerySet)
        if view is not None and view.change_filter in request.query_params:  # type: ignore[attr-defined]
            try:
                settled = settled_up_to(queryset.model)
            except Unsettled:
                self.is_settled = False
                self.base_url = request.build_absolute_uri()
                self.get_page_size(request)
                self.rows, self.has_next, self.has_previous = [], False, False
                return []
            self.is_settled = True
            if settled is not None:
                queryset = queryset.filter(updated_at__lte=settled)
        return super().paginate_queryset(queryset, request, view)

    def get_paginated_response(self, data: Any) -> Response:
        return self._settled_response(super().get_paginated_response(data))


class EventPagination(_Syncable):
    """Newest first; with ``after_id`` ascending, for a data warehouse that copies the log.

    In the ascending sync `next` is never null: the client continues there, now or later.
    """

    def paginate_queryset(
        self,
        queryset: QuerySet[Any] | Sequence[Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any] | None:
        self.after_id = request.query_params.get("after_id")
        if self.after_id is None:
            return super().paginate_queryset(queryset, request, view)
        assert isinstance(queryset, QuerySet)
        if ORDERING in request.query_params:
            raise ValidationError({ORDERING: [_("after_id has an order of its own.")]})
        if self.cursor_query_param in request.query_params:
            raise ValidationError({"cursor": [_("after_id has no cursors: follow its next link.")]})
        self.request = request
        size = self.get_page_size(request)
        try:
            bound = settled_upper_bound()
        except Unsettled:
            self.is_settled = False
            self.continue_after = int(self.after_id)
            return []
        self.is_settled = True
        rows = list(queryset.filter(id__lte=bound).order_by("id")[:size])
        # A page that is not full has read all rows up to the bound, also those filtered out.
        self.continue_after = rows[-1].pk if len(rows) == size else max(bound, int(self.after_id))
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        if self.after_id is None:
            return super().get_paginated_response(data)
        query = self.request.query_params.copy()
        query["after_id"] = str(self.continue_after)
        url = self.request.build_absolute_uri(self.request.path)
        following = f"{url}?{urlencode(list(query.items()))}"
        return self._settled_response(
            Response({"next": following, "previous": None, "results": data})
        )

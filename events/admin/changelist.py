"""Admin lists that page by key, without COUNT and OFFSET, so that every page costs the same.

Django's change list counts twice and skips rows by number, which takes seconds on a log of 10
million rows. Here a page begins where the last one ended, and no page shows a total.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from events.admin.access import AccountModelAdmin
from events.db.keyset import RowCursor, page
from events.db.time_limit import TookTooLong, time_limit
from events.numbers import number_in

__all__ = ["KeysetChangeList", "KeysetModelAdmin", "ReadOnly"]

_OLDER, _NEWER = "older_than", "newer_than"


class _Links(Paginator):  # type: ignore[type-arg]
    """Replaces the theme's paginator, and shows two links."""

    template_name = "admin/keyset_pagination.html"


class KeysetChangeList(ChangeList):
    """The list of a `KeysetModelAdmin`."""

    older_url: str | None = None
    newer_url: str | None = None

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        lookups: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in lookups.items() if name not in {_OLDER, _NEWER}}

    def get_results(self, request: HttpRequest) -> None:
        # Only a KeysetModelAdmin has this list.
        column: str | None = self.model_admin.time_column(request)  # type: ignore[attr-defined]
        older, newer = (RowCursor.parse(request.GET.get(name), column) for name in (_OLDER, _NEWER))
        size = self.list_per_page
        upwards = newer is not None
        rows, more = page(
            self.queryset, size, column=column, cursor=newer if upwards else older, upwards=upwards
        )
        if rows and (upwards or more):
            self.older_url = self.get_query_string(
                {_OLDER: RowCursor.of(rows[-1], column)}, [_NEWER]
            )
        if rows and (more if upwards else older is not None):
            self.newer_url = self.get_query_string(
                {_NEWER: RowCursor.of(rows[0], column)}, [_OLDER]
            )
        self.newest_url = self.get_query_string(remove=[_OLDER, _NEWER])
        self.result_list = rows
        self.result_count = len(rows)
        # Equal counts, so that the page shows no "50 results (show all)".
        self.full_result_count = len(rows)
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = _Links(rows, size)


class KeysetModelAdmin(AccountModelAdmin):
    """A list newest first, in the order of ids or of a time; a search finds only whole values.

    A subclass defines in search_exactly() which columns a search uses.
    """

    list_per_page = 50
    show_full_result_count = False
    # Facets would count the whole table once for each choice of each filter.
    show_facets = ShowFacets.NEVER
    sortable_by = ()
    ordering = ("-pk",)
    # The theme shows a search box only if there are fields; search_exactly() does the search.
    search_fields = ("pk",)
    list_filter_sheet = False
    list_fullwidth = True

    def time_column(self, request: HttpRequest) -> str | None:
        """The time that orders the list with the request's filters; None means the id."""
        return None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method != "GET":
            return super().changelist_view(request, extra_context)
        try:
            with time_limit():
                return super().changelist_view(request, extra_context)
        except TookTooLong:
            messages.warning(
                request,
                _("These filters together take too long. Leave one out, or choose a shorter time."),
            )
            return HttpResponseRedirect(request.path)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.replace("\0", "").strip()
        return (self.search_exactly(queryset, term) if term else queryset), False

    def search_exactly(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Returns the rows with exactly this term in an indexed column."""
        number = number_in(term.removeprefix("#"))
        return queryset.none() if number is None else queryset.filter(pk=number)


class ReadOnly:
    """A base class of the admin of records, which nobody edits."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

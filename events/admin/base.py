"""What every page of the admin shares: it takes no question that it does not offer.

Django's lists take any lookup on the model's own columns from the URL, such as `openid__regex`, and
hand any number or word on to the database. Here a list takes the filters that it shows.
"""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.core.exceptions import SuspiciousOperation
from django.db import models
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin as ThemeModelAdmin

from events.models.job import Job

__all__ = ["ModelAdmin"]

# What Django's filters by a column put behind its name.
_LOOKUPS = re.compile(r"(?:__(?:id__|pk__|slug__)?(?:exact|isnull|in|gte|gt|lte|lt))?")
_ID = re.compile(r"[0-9]{1,18}")
# No row has such a number, and the databases refuse it.
_TOO_LARGE = re.compile(r"\s*[-+]?[0-9]{19,}\s*")
# Each word of a search is one more condition for the database.
_MOST_WORDS = 20
_LONGEST_SEARCH = 1000


class ModelAdmin(ThemeModelAdmin):
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether the list offers this filter. A refused one is answered 400."""
        # The page of tasks leads to the jobs that failed for one reason.
        if lookup == "failure" and issubclass(self.model, Job):
            return True
        if _TOO_LARGE.fullmatch(value):
            return False
        return any(_offers(item, lookup) for item in self.get_list_filter(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.replace("\0", "")
        if len(term) > _LONGEST_SEARCH or len(term.split()) > _MOST_WORDS:
            messages.warning(request, _("This search is too long. Search for fewer words."))
            return queryset.none(), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, term)
        return found

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        if _TOO_LARGE.fullmatch(object_id):
            return None
        return super().get_object(request, object_id, from_field)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        chosen = request.POST.getlist("_selected_action")
        if _has_number(self.model) and not all(map(_ID.fullmatch, chosen)):
            raise SuspiciousOperation("A row was chosen by something else than its number.")
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response


def _has_number(model: type[Model]) -> bool:
    key: Any = model._meta.pk
    while key.remote_field:
        key = key.target_field
    return isinstance(key, models.IntegerField)


def _offers(item: Any, lookup: str) -> bool:
    if isinstance(item, type):
        return lookup == item.parameter_name  # type: ignore[attr-defined]
    name = item[0] if isinstance(item, (tuple, list)) else item
    return lookup.startswith(name) and bool(_LOOKUPS.fullmatch(lookup, len(name)))

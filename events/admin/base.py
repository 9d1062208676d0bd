"""The base of all pages of the admin: a list accepts only the filters that it shows.

Django's lists accept any lookup on the model's own columns from the URL, such as `openid__regex`,
and pass any number or word to the database.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import SuspiciousOperation
from django.db import models, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin as ThemeModelAdmin
from unfold.fields import UnfoldAdminReadonlyField

from events.admin.changed_meanwhile import SEEN, last_change, refusing
from events.admin.history import history
from events.audit.record import name_of, record, record_look_at_list
from events.audit.watched_tables import is_watched
from events.models.job import Job
from events.numbers import number_in
from events.viewer import may_look_at

__all__ = ["ModelAdmin"]

# The lookups that Django's filters append to the name of a column.
_LOOKUPS = re.compile(r"(?:__(?:id__|pk__|slug__)?(?:exact|isnull|in|gte|gt|lte|lt))?")
_ID = re.compile(r"[0-9]{1,18}")
_TEXT = re.compile(r"[^\0]*")
# No row has such a large number, and the databases refuse it.
_TOO_LARGE = re.compile(r"\s*[-+]?[0-9]{19,}\s*")
# Limited, because each word of a search is one more condition for the database.
_MOST_WORDS = 20
_LONGEST_SEARCH = 1000
# The most ids of rows that an audit entry of one act keeps.
_MOST_NAMED = 1000


class ModelAdmin(ThemeModelAdmin):
    """Accepts only the filters that it shows, and records acts and views of personal data.

    With `holds_personal_data` the audit records who sees a list or a row of this model. A bulk
    action is recorded in the transaction of the action. If its name is in
    `actions_outside_transaction`, it is recorded before the action.

    A form of a watched table tells its user if a colleague saved the row meanwhile, unless only
    `columns_of_lists` changed, which the form does not show.
    """

    # Django shows a hyphen. This site's pages have a dash, which cards on phones leave out.
    empty_value_display = "–"
    holds_personal_data: ClassVar[bool] = False
    actions_outside_transaction: ClassVar[tuple[str, ...]] = ()
    columns_of_lists: ClassVar[tuple[str, ...]] = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether the list offers this filter. Django answers 400 to a refused one."""
        # The page of tasks links to the jobs that failed for one reason.
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
        if _TOO_LARGE.fullmatch(object_id) or "\0" in object_id:
            return None
        return super().get_object(request, object_id, from_field)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        chosen = request.POST.getlist("_selected_action")
        known = _ID if _has_number(self.model) else _TEXT
        if not all(map(known.fullmatch, chosen)):
            raise SuspiciousOperation("A row was chosen by what is no key of a row.")
        response: HttpResponse = super().changelist_view(request, extra_context)
        if self.holds_personal_data and request.method == "GET" and response.status_code == 200:
            record_look_at_list(self.model, list(request.GET))
        return response

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:  # fmt: skip
        if object_id is not None and "\0" not in object_id and is_watched(self.model):
            # Read this before the row, so that the page shows at least this change.
            seen = last_change(self.model, unquote(object_id))
            extra_context = {**(extra_context or {}), "seen_change": seen}
        response: HttpResponse = super().changeform_view(
            request, object_id, form_url, extra_context
        )
        return response

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        seen = number_in(request.POST.get(SEEN)) if obj is not None else None
        return form if seen is None else refusing(form, obj, seen, but=self.columns_of_lists)

    def render_change_form(
        self, request: HttpRequest, context: Any, add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> HttpResponse:  # fmt: skip
        if self.holds_personal_data and obj is not None and request.method == "GET":
            record("look", obj)
        response: HttpResponse = super().render_change_form(
            request, context, add, change, form_url, obj
        )
        return response

    # --- The audit ------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Returns the bulk actions; each records itself with the rows that it gets."""
        actions: dict[str, Any] = super().get_actions(request)
        return {
            # Each deleted row gets its own entry.
            name: (run if name == "delete_selected" else self._recorded(name, run), *words)
            for name, (run, *words) in actions.items()
        }

    def _recorded(self, act: str, run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def run_and_record(
            model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], *args: Any
        ) -> Any:
            queryset = self.rows_of_action(request, act, queryset)
            # Read now, because the action may change which rows the filters leave.
            pks = queryset.order_by("pk").values_list("pk", flat=True)
            ids = [str(pk) for pk in pks[:_MOST_NAMED]]
            number = len(ids) if len(ids) < _MOST_NAMED else queryset.count()
            if act in self.actions_outside_transaction:
                self._record_action(act, number, ids)
                return run(model_admin, request, queryset, *args)
            with transaction.atomic():
                response = run(model_admin, request, queryset, *args)
                self._record_action(act, number, ids)
            return response

        return run_and_record

    def rows_of_action(
        self, request: HttpRequest, act: str, queryset: QuerySet[Any]
    ) -> QuerySet[Any]:
        """Returns those of the chosen rows that the bulk action changes and the audit names."""
        return queryset

    def _record_action(self, act: str, number: int, ids: list[str]) -> None:
        if number == 1:
            row = self.model._default_manager.filter(pk=ids[0]).first()
            record(act, row or self.model, name=self.audit_name(row))
        elif number:
            record(act, self.model, details={"rows": number, "ids": ids})

    def audit_name(self, row: Any) -> str:
        """The row's name for an audit entry; "" if it may name a follower."""
        return name_of(row) if row is not None and is_watched(self.model) else ""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record_logged("add", obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record_logged("change", obj, message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self._record_logged("delete", row, [])
        return super().log_deletions(request, queryset)

    def _record_logged(self, act: str, row: Any, message: Any) -> None:
        # The audit itself records each save of a watched table. A text in `message` names an act.
        if isinstance(message, str):
            record(message, row, name=self.audit_name(row))
        elif not is_watched(self.model):
            fields = [
                name
                for part in message
                for kind in part.values()
                for name in kind.get("fields", ())
            ]
            record(act, row, details={"fields": fields} if fields else None)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Shows all acts on the row, with the values before and after."""
        row = self.get_object(request, object_id)
        if row is None:
            return HttpResponseRedirect("..")
        return super().history_view(
            request, object_id, {"entries": history(self, request, row), **(extra_context or {})}
        )


def _link_if_allowed(field: Any, remote_field: Any, row: Model) -> str:
    """The name of a related row, as a link if the viewer may follow it."""
    if not may_look_at(type(row)):
        return str(row)
    link: str = _link(field, remote_field, row)
    return link


# Django and the theme show this link to everybody, and have no hook to change that.
_link = UnfoldAdminReadonlyField.get_admin_url
UnfoldAdminReadonlyField.get_admin_url = _link_if_allowed


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

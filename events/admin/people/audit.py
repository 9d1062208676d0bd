"""The audit list (审计日志): what users, keys and the site did, read-only."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.history import (
    changes_table,
    kind_in_words,
    model_of,
    page_of_object,
    states,
    who,
)
from events.admin.html import nested_table
from events.admin.list_filters import AccountFilter
from events.audit.acts import ACTS, act_in_words, details_in_words, outcome_in_words
from events.audit.record import record
from events.db.keyset import portions
from events.models import AuditEntry
from events.spreadsheets import csv_parts

__all__ = ["AuditEntryAdmin"]

_COLUMNS = (
    "id", "at", "user", "key", "way", "address", "act", "account", "model", "object", "name",
    "changes", "details",
)  # fmt: skip
# With this byte order mark spreadsheets read the file as UTF-8.
_MARK = "\ufeff".encode()
_WITH_WECHAT = "sign_in_with_wechat"


class ActFilter(admin.SimpleListFilter):
    title = _("act")
    parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [*ACTS.items(), (_WITH_WECHAT, _("signed in with WeChat, or failed to"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == _WITH_WECHAT:
            sign_ins = queryset.filter(act__in=["sign_in", "sign_in_failed"])
            return sign_ins.filter(details__with="WeChat")
        return queryset.filter(act=self.value()) if self.value() else queryset


class WayFilter(admin.SimpleListFilter):
    title = _("by way of")
    parameter_name = "way"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return AuditEntry.Way.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(way=self.value()) if self.value() else queryset


class DaysFilter(admin.SimpleListFilter):
    title = _("time")
    parameter_name = "days"
    choices_of_days = (("1", _("today")), ("7", _("last 7 days")), ("30", _("last 30 days")))

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self.choices_of_days

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in dict(self.choices_of_days):
            return queryset
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(at__gte=today - datetime.timedelta(days=int(self.value() or 1) - 1))


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, KeysetModelAdmin):
    list_display = ["time", "who", "what", "object", "address", "account"]
    list_display_links = ["time"]
    list_filter = [AccountFilter, ActFilter, WayFilter, DaysFilter]
    list_before_template = "admin/audit/export.html"
    search_help_text = _("user name, address or number of the entry; the whole value")
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("time", "what"), ("who", "way"), ("address", "account"), "object",
                    "shown_changes", "shown_details", "earlier_states",
                ]
            },
        )
    ]  # fmt: skip
    readonly_fields = [
        "time", "what", "who", "way", "address", "account", "object", "shown_changes",
        "shown_details", "earlier_states",
    ]  # fmt: skip

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        columns = ["user_name", "address"] if _is_address(term) else ["user_name"]
        for column in columns:
            matching: QuerySet[Any] = queryset.filter(**{column: term})
            if matching.order_by().exists():
                return matching
        return super().search_exactly(queryset, term)

    def get_urls(self) -> list[Any]:
        export = self.admin_site.admin_view(self.export)
        return [path("export/", export, name="events_auditentry_export"), *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponse:
        """Sends the filtered entries as CSV, oldest first, and records the export too."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_changelist_instance(request).queryset
        entry = record("export", AuditEntry, details={"filters": sorted(request.GET)})
        rows = found.filter(pk__lt=entry.pk).order_by()
        parts = csv_parts(_records(portions(rows, None)), list(_COLUMNS))
        response: Any = StreamingHttpResponse(
            (part for source in ([_MARK], parts) for part in source),
            content_type="text/csv; charset=utf-8",
        )
        response["Content-Disposition"] = 'attachment; filename="audit.csv"'
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        # Nobody changes an entry, so it has no history.
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "show_history": False}
        )

    @display(description=_("time"))
    def time(self, entry: AuditEntry) -> str:
        return f"{timezone.localtime(entry.at):%Y-%m-%d %H:%M:%S}"

    @display(description=_("user"))
    def who(self, entry: AuditEntry) -> str:
        return who(entry)

    @display(description=_("act"))
    def what(self, entry: AuditEntry) -> str:
        return " · ".join([act_in_words(entry.act), *outcome_in_words(entry.act, entry.details)])

    @display(description=_("object"))
    def object(self, entry: AuditEntry) -> str:
        model = model_of(entry)
        kind = kind_in_words(model) if model else entry.model
        number = f"#{entry.object_id}" if entry.object_id else ""
        return render_to_string(
            "admin/audit/object.html",
            {
                "text": " ".join(part for part in (kind, entry.object_name or number) if part),
                "url": page_of_object(entry),
            },
        )

    @display(description=_("changes"))
    def shown_changes(self, entry: AuditEntry) -> str:
        return changes_table(entry) or "–"

    @display(description=_("details"))
    def shown_details(self, entry: AuditEntry) -> str:
        shown = {
            name: value for name, value in entry.details.items() if name not in {"before", "after"}
        }
        return nested_table(details_in_words(shown)) if shown else "–"

    @display(description=_("earlier states"))
    def earlier_states(self, entry: AuditEntry) -> str:
        return render_to_string("admin/audit/states.html", {"states": states(entry)})


def _records(found: Iterable[list[AuditEntry]]) -> Iterator[dict[str, Any]]:
    for entries in found:
        for entry in entries:
            yield {
                "id": entry.pk,
                "at": entry.at.astimezone(datetime.UTC).isoformat(),
                "user": entry.user_name,
                "key": entry.key_name,
                "way": entry.way,
                "address": entry.address,
                "act": entry.act,
                "account": entry.account.slug if entry.account else "",
                "model": entry.model,
                "object": entry.object_id,
                "name": entry.object_name,
                "changes": entry.changes,
                "details": entry.details,
            }


def _is_address(term: str) -> bool:
    """Whether the term is an IP address; PostgreSQL compares addresses with nothing else."""
    try:
        ipaddress.ip_address(term)
    except ValueError:
        return False
    return True

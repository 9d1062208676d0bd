"""Puts an earlier state of a row back, for tables whose states the audit list keeps."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _

from events.admin.access import AccountModelAdmin, visible_accounts
from events.admin.history import differences
from events.audit.context import recorded_as
from events.audit.watched_tables import state_of
from events.models import AuditEntry

__all__ = ["WithEarlierStates"]


class WithEarlierStates(AccountModelAdmin):
    """A base class of the admin of a model that is watched with `keep_states`."""

    def get_urls(self) -> list[Any]:
        put_back = path(
            "put-back/<int:entry_id>/",
            self.admin_site.admin_view(self.put_back),
            name=f"{self.opts.app_label}_{self.opts.model_name}_put_back",
        )
        return [put_back, *super().get_urls()]

    def put_back(self, request: HttpRequest, entry_id: int) -> HttpResponse:
        """Shows what would change; a POST gives the row that state, and restores a removed row."""
        moment = request.GET.get("state", "after")
        entry = get_object_or_404(AuditEntry, pk=entry_id, model=self.opts.label_lower)
        state = entry.details.get(moment) if moment in {"before", "after"} else None
        if not state or not visible_accounts(request).filter(pk=state["account"]).exists():
            raise Http404
        row = self.get_queryset(request).filter(pk=entry.object_id).first()
        if row is None and self.model._default_manager.filter(pk=entry.object_id).exists():
            raise Http404
        may = self.has_change_permission(request, row) if row else self.has_add_permission(request)
        if not may:
            raise PermissionDenied
        present = state_of(row) if row else {}
        listing = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        back = reverse(page, args=[row.pk]) if row else reverse(listing)
        if request.method == "POST":
            try:
                put = self._store_state(row, entry, state)
            except ValidationError as error:
                messages.error(request, " ".join(error.messages))
                return HttpResponseRedirect(back)
            messages.success(request, _("The earlier state is in force again."))
            return HttpResponseRedirect(reverse(page, args=[put.pk]))
        changes = {
            name: [present.get(name), value]
            for name, value in state.items()
            if present.get(name) != value
        }
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Put an earlier state back"),
            "changes": differences(self.model, changes),
            "back": back,
        }
        return TemplateResponse(request, "admin/audit/put_back.html", context)

    def _store_state(self, row: Model | None, entry: AuditEntry, state: dict[str, Any]) -> Model:
        """Stores the state; raises ValidationError if it is no longer valid."""
        is_new = row is None
        put = self.model(pk=int(entry.object_id)) if row is None else row
        for name, value in state.items():
            field: Any = self.opts.get_field(name)
            setattr(put, field.attname, field.to_python(value))
        with transaction.atomic(), recorded_as("put_back"):
            put.full_clean()
            put.save(force_insert=is_new)
        return put

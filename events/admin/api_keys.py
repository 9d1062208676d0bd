from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from events.admin.base import ModelAdmin
from events.api.authentication import SCOPES
from events.models import ApiKey

__all__ = ["ApiKeyAdmin"]


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label=capfirst(_("scopes")),
        choices=[(scope, scope) for scope in SCOPES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiKey
        fields = ["user", "name", "scopes"]
        widgets = {"name": UnfoldAdminTextInputWidget()}


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Keys are made and revoked. The page shows a key's text once, after making it."""

    form = ApiKeyForm
    list_display = ["__str__", "user", "shown_scopes", "created_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return ["user", "name", "scopes"]
        return ["user", "name", "shown_scopes", "created_at", "last_used_at", "revoked_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.change_apikey")

    @display(description=_("scopes"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        made, key = ApiKey.issue(user=obj.user, scopes=obj.scopes, name=obj.name)
        obj.pk, obj.digest, obj.created_at = made.pk, made.digest, made.created_at
        messages.warning(
            request,
            render_to_string("admin/events/apikey/new_key.html", {"key": key}),
        )

    @action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        messages.success(
            request, ngettext("%s key revoked.", "%s keys revoked.", revoked) % revoked
        )

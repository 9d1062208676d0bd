"""The pages of API keys: making, seeing and revoking them."""

from __future__ import annotations

import copy
import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from events.admin.access import visible_accounts
from events.admin.base import ModelAdmin
from events.models import ApiKey
from events.people.scopes import ACT_FOR_USERS, scopes_of
from events.viewer import account_ids

__all__ = ["ApiKeyAdmin", "ending_keys"]


def _end() -> datetime.date:
    return timezone.localdate() + datetime.timedelta(days=settings.API_KEY_DAYS)


# The words for each scope.
_SCOPES = {
    "accounts:read": _("read Official Accounts"),
    "bindings:read": _("read bindings"),
    "events:read": _("read events"),
    "messages:read": _("read outgoing messages"),
    "scenes:read": _("read QR codes"),
    "stats:read": _("read statistics"),
    "subscribers:read": _("read followers"),
    "webhooks:read": _("read webhooks"),
    "bindings:write": _("bind the user who makes the key"),
    "messages:write": _("send messages to followers"),
    "scenes:write": _("make QR codes"),
    "webhooks:write": _("make and change webhooks"),
    "access-token:use": _("use access tokens for calls to WeChat"),
    "js-ticket:use": _("use tickets for pages in WeChat's browser"),
    "js-config:use": _("sign pages for WeChat's browser"),
    ACT_FOR_USERS: _("bind any user"),
}


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key of the present user: scopes within their rights, accounts that they may see."""

    scopes = forms.MultipleChoiceField(
        label=capfirst(_("scopes")), widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    accounts: Any = forms.ModelMultipleChoiceField(
        label=capfirst(_("Official Accounts")),
        queryset=None,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None chosen: all that you may see."),
    )
    until = forms.DateField(
        label=capfirst(_("expires")),
        initial=_end,
        required=False,
        widget=UnfoldAdminSingleDateWidget,
    )

    class Meta:
        model = ApiKey
        fields = ["name"]
        widgets = {"name": UnfoldAdminTextInputWidget()}

    def clean_until(self) -> datetime.date:
        until: datetime.date = self.cleaned_data["until"] or _end()
        if not timezone.localdate() < until <= _end():
            raise forms.ValidationError(
                _("Choose a day from tomorrow on, at most %s days ahead.") % settings.API_KEY_DAYS
            )
        return until


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Makes and revokes keys. The page shows a key's text once, after making it.

    Users make and see their own keys. A user sees all keys if they may see users and have no limit
    to accounts.
    """

    form = ApiKeyForm
    list_display = [
        "__str__", "user", "shown_scopes", "expiry", "last_used_at", "last_used_from", "revoked_at",
    ]  # fmt: skip
    list_select_related = ["user"]
    actions = ["revoke"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        keys: QuerySet[ApiKey] = super().get_queryset(request)
        may_see_all = request.user.has_perms(["auth.view_user", "events.view_apikey"])
        if may_see_all and account_ids(request.user) is None:
            return keys
        return keys.filter(user=request.user.pk)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if obj is None and "scopes" in form.base_fields:
            # Copy the fields, because forms of this class share them, but users' choices differ.
            scopes, accounts = (
                copy.deepcopy(form.base_fields[name]) for name in ("scopes", "accounts")
            )
            scopes.choices = [
                (scope, f"{scope}: {_SCOPES[scope]}") for scope in scopes_of(request.user)
            ]
            accounts.queryset = visible_accounts(request)
            form.base_fields |= {"scopes": scopes, "accounts": accounts}
        return form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return ["name", "scopes", "accounts", "until"]
        return [
            "user", "name", "shown_scopes", "shown_accounts", "created_at", "ends",
            "last_used_at", "last_used_from", "revoked_at",
        ]  # fmt: skip

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

    @display(description=_("Official Accounts"))
    def shown_accounts(self, key: ApiKey) -> str:
        if not key.is_limited:
            return str(_("all that its user may see"))
        return ", ".join(account.name for account in key.accounts.all()) or "–"

    @display(
        description=_("expires"), label={"lasts": "success", "soon": "warning", "ended": "danger"}
    )
    def expiry(self, key: ApiKey) -> tuple[str, str]:
        if key.expires_at is None:
            return "lasts", "–"
        state = "ended" if key.is_expired else "soon" if key.ends_soon else "lasts"
        return state, f"{timezone.localtime(key.expires_at):%Y-%m-%d}"

    @display(description=_("expires"))
    def ends(self, key: ApiKey) -> str:
        return self.expiry(key)[1]

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        key = super().save_form(request, form, change)
        key.user = request.user
        return key

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        given = form.cleaned_data
        midnight = datetime.time(0, tzinfo=timezone.get_current_timezone())
        made, key = ApiKey.issue(
            user=request.user,
            scopes=given["scopes"],
            name=obj.name,
            accounts=given["accounts"],
            expires_at=datetime.datetime.combine(given["until"], midnight),
        )
        obj.pk, obj.digest, obj.created_at = made.pk, made.digest, made.created_at
        messages.warning(
            request,
            render_to_string("admin/events/apikey/new_key.html", {"key": key}),
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Saves nothing, because issue() has stored the accounts."""

    def rows_of_action(
        self, request: HttpRequest, act: str, queryset: QuerySet[ApiKey]
    ) -> QuerySet[ApiKey]:
        if act != "revoke":
            return queryset
        if not request.user.has_perm("auth.change_user"):
            queryset = queryset.filter(user=request.user.pk)
        return queryset.filter(revoked_at=None)

    @action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = queryset.update(revoked_at=timezone.now())
        messages.success(
            request, ngettext("%s key revoked.", "%s keys revoked.", revoked) % revoked
        )


def ending_keys(user: Any) -> list[dict[str, Any]]:
    """Returns the user's keys that expire soon, for the dashboard."""
    if not user.has_perm("events.view_apikey"):
        return []
    return [
        {
            "status": _("API key ends soon:"),
            "colour": "warning",
            "number": f"{key.name or key} {timezone.localtime(key.expires_at):%Y-%m-%d}",
            "url": reverse("admin:events_apikey_change", args=[key.pk]),
        }
        for key in ApiKey.ending_soon(user)
    ]

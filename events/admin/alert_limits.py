"""The operators' pages of the limits above which alerts begin: the site's, and each account's."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from events.admin.access import AccountModelAdmin
from events.limits import LIMITS, mistakes_in, site_limits
from events.models import AlertLimits
from events.viewer import account_ids

__all__ = ["AlertLimitsAdmin"]


class AlertLimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A number for each limit; an empty field leaves the limit that holds without it."""

    class Meta:
        model = AlertLimits
        fields = ["account"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "account" in self.fields:
            self.fields["account"].help_text = _("Without one: the site, and all accounts.")
        self._rest = {name: limit.default for name, limit in LIMITS.items()}
        if self.instance.account_id is not None:
            self._rest = dict(site_limits())
        for name in LIMITS:
            if name in self.fields:
                self.initial[name] = self.instance.limits.get(name)
                self.fields[name].widget.attrs["placeholder"] = self._rest[name]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        is_site = cleaned.get("account", self.instance.account) is None
        rest = self._rest if is_site else dict(site_limits())
        chosen = {name: cleaned[name] for name in LIMITS if cleaned.get(name) is not None}
        if not is_site:
            for name in [name for name in chosen if LIMITS[name].of_site]:
                del chosen[name]
                self.add_error(name, _("This limit is of the whole site: leave it empty here."))
        for name, mistake in mistakes_in(chosen, rest).items():
            self.add_error(name, mistake)
        self.instance.limits = chosen
        return cleaned


def _field(name: str) -> forms.IntegerField:
    limit = LIMITS[name]
    return forms.IntegerField(
        label=capfirst(limit.label),
        help_text=limit.help,
        required=False,
        min_value=limit.least,
        max_value=limit.most,
        widget=UnfoldAdminIntegerFieldWidget(),
    )


_FIELDS = {name: _field(name) for name in LIMITS}


@admin.register(AlertLimits)
class AlertLimitsAdmin(AccountModelAdmin):
    form = type("_AlertLimitsForm", (AlertLimitsForm,), _FIELDS)
    list_display = ["whose", "changed"]
    list_display_links = ["whose"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if not self.has_change_permission(request, obj):
            return [(None, {"fields": ["whose", "changed"]})]
        is_of_account = obj is not None and obj.account_id is not None
        of_account = [name for name, limit in LIMITS.items() if not limit.of_site]
        of_site = [name for name in LIMITS if name not in of_account]
        fieldsets: list[Any] = [
            (
                None,
                {
                    "fields": ["whose" if obj else "account"],
                    "description": _("Where a field is empty, the number in grey holds."),
                },
            ),
            (_("Of each account"), {"fields": of_account}),
        ]
        if not is_of_account and account_ids(request.user) is None:
            fieldsets.append((_("Of the whole site"), {"fields": of_site}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["whose", "changed"] if obj else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name == "account":
            taken = AlertLimits.objects.exclude(account=None).values("account")
            field.queryset = field.queryset.exclude(pk__in=taken)
            field.empty_label = str(_("the whole site"))
            if account_ids(request.user) is not None:
                # A user who sees only some accounts must not set limits for all.
                field.required, field.empty_label = True, "–"
        return field

    @display(description=_("for"))
    def whose(self, limits: AlertLimits) -> str:
        return str(limits)

    @display(description=_("limits"))
    def changed(self, limits: AlertLimits) -> str:
        return (
            " · ".join(
                f"{LIMITS[name].label}: {value}"
                for name, value in limits.limits.items()
                if name in LIMITS
            )
            or "–"
        )

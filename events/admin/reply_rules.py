from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from events.admin.access import visible_accounts
from events.admin.filters import AccountFilter
from events.admin.put_back import WithEarlierStates
from events.menus.names import MenuNames, keys_of_live_menus
from events.models import ReplyRule

__all__ = ["ReplyRuleAdmin"]

_SHOWN_OF_A_REPLY = 60


class _KeyWidget(UnfoldAdminTextInputWidget):
    """Any text, with the keys of the menus that followers see to choose from."""

    def __init__(self) -> None:
        super().__init__(attrs={"list": "menu-keys", "autocomplete": "off"})
        # Of whose menus; the page that shows the form says it.
        self.accounts: list[int] = []

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        keys = keys_of_live_menus(self.accounts)
        several = len({account for account, _, _ in keys}) > 1
        named = [(key, f"{account}: {path}" if several else path) for account, key, path in keys]
        names = sorted({name for key, name in named if key == value})
        field = super().render(name, value, attrs, renderer)
        return render_to_string(
            "admin/events/replyrule/key_field.html",
            {"field": field, "names": names, "keys": named},
        )


class ReplyRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ReplyRule
        fields = ["account", "trigger", "key", "content", "is_active"]
        widgets = {"key": _KeyWidget()}


@admin.register(ReplyRule)
class ReplyRuleAdmin(WithEarlierStates):
    form = ReplyRuleForm
    list_display = ["account", "trigger", "shown_key", "content_start", "is_active"]
    list_display_links = ["trigger"]
    list_filter = [AccountFilter, "trigger", "is_active"]
    list_select_related = ["account"]
    search_fields = ["key", "content"]

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        if "key" in form.base_fields:
            accounts = visible_accounts(request).values_list("pk", flat=True)
            form.base_fields["key"].widget.accounts = list(accounts)
        return form

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        clicks = [r for r in changelist.result_list if r.trigger == ReplyRule.Trigger.CLICK]
        names = MenuNames(rule.account_id for rule in clicks)
        for rule in clicks:
            rule.menu_name = names.of_key(rule.account_id, rule.trigger, rule.key)
        return changelist

    @display(description=_("key"))
    def shown_key(self, rule: Any) -> str:
        return render_to_string(
            "admin/events/replyrule/key.html",
            {"name": getattr(rule, "menu_name", None), "key": rule.key},
        )

    @display(description=_("reply"))
    def content_start(self, rule: ReplyRule) -> str:
        start = rule.content[:_SHOWN_OF_A_REPLY]
        return start if start == rule.content else start + "…"

"""The list of menu versions, and above it the menu that followers of one account see."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from events.admin.access import chosen_account, visible_accounts
from events.admin.base import ModelAdmin
from events.admin.html import done_by
from events.admin.menus.menu_state import AtWeChat, listing_of
from events.admin.rules.menu_answers import answers_of_keys
from events.audit.record import record
from events.menus.menu_words import names
from events.menus.publish import MENUS, ask_wechat
from events.models import MenuVersion
from events.models.menu import MenuVersionQuerySet
from events.platform.hindrances import hindrance
from events.wechat.api.menu_model import Menu

__all__ = ["REFRESH_SECONDS", "MenuList", "StateFilter", "answers_in"]

_COLOURS = {
    MenuVersion.State.DRAFT.value: "info",
    MenuVersion.State.WAITING.value: "warning",
    MenuVersion.State.PUBLISHED.value: "success",
    MenuVersion.State.FAILED.value: "danger",
}

# Seconds after which a page that waits for the worker reloads itself.
REFRESH_SECONDS = 2


class StateFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return MenuVersion.State.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in MenuVersion.State.values:
            return queryset
        return queryset.in_state(MenuVersion.State(str(self.value())))


class MenuList(ModelAdmin):
    """A base class of the admin of MenuVersion."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        versions: MenuVersionQuerySet = super().get_queryset(request)
        return versions.with_is_live().select_related("created_by", "published_by")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        accounts = list(visible_accounts(request))
        chosen = chosen_account(request)
        at_wechat = AtWeChat.of(chosen) if chosen else None
        response = super().changelist_view(
            request,
            {
                **(extra_context or {}),
                "accounts": accounts,
                "at_wechat": at_wechat,
                "may_write": self.has_add_permission(request),
                "may_ask": self.has_change_permission(request)
                and not (chosen and hindrance(chosen.pk, MENUS)),
                "may_see_all": request.user.has_perm("events.view_livemenu"),
                **(answers_in(request, chosen, at_wechat.menu) if at_wechat else {}),
            },
        )
        if at_wechat and at_wechat.is_changing:
            response.headers["Refresh"] = str(REFRESH_SECONDS)
        return response

    def get_urls(self) -> list[Any]:
        ask = require_POST(self.admin_site.admin_view(self.ask))
        return [
            path("ask/<int:account_id>/", ask, name="events_menuversion_ask"),
            *super().get_urls(),
        ]

    def ask(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Makes the worker ask WeChat for the menu."""
        account = get_object_or_404(visible_accounts(request), pk=account_id)
        if not self.has_change_permission(request):
            raise Http404
        with transaction.atomic():
            ask_wechat(account)
            record("ask", MenuVersion, account=account)
        messages.info(request, _("WeChat is being asked for the menu."))
        return HttpResponseRedirect(listing_of(account))

    @display(description=_("version"))
    def number(self, version: MenuVersion) -> str:
        return str(version)

    @display(description=_("status"), label={**_COLOURS, "live": "success", "past": "info"})
    def badge(self, version: Any) -> tuple[str, str]:
        if version.is_live:
            return "live", str(_("what followers see"))
        if version.state == MenuVersion.State.PUBLISHED:
            return "past", str(_("published earlier"))
        return version.state.value, str(version.state.label)

    @display(description=_("entries"))
    def entry_names(self, version: MenuVersion) -> str:
        return names(version.content)

    @display(description=_("published"))
    def published(self, version: MenuVersion) -> str:
        return done_by(version.published_at, version.published_by, version.account)


def answers_in(request: HttpRequest, account: Any, menu: Menu) -> dict[str, Any]:
    """Returns the answers to the menu's keys, for users who may see the rules."""
    may_see = request.user.has_perm("events.view_replyrule")
    return {
        "key_answers": answers_of_keys(account.pk, menu) if account and may_see else [],
        "may_see_rules": may_see,
        "may_write_rules": request.user.has_perm("events.add_replyrule"),
        "rules_account": account,
    }

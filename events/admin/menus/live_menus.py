"""The list of the menus that followers of each account see, with links to one account's page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.html import moment
from events.admin.list_filters import AccountFilter
from events.admin.menus.menu_state import failure_of, listing_of
from events.menus.menu_words import names
from events.models import LiveMenu
from events.numbers import number_in

__all__ = ["LiveMenuAdmin"]


@admin.register(LiveMenu)
class LiveMenuAdmin(ReadOnly, KeysetModelAdmin):
    """The list of the menus that followers of each account see."""

    list_display = ["shown_account", "shown_version", "shown_asked_at", "reason"]
    list_display_links = ["shown_account"]
    list_filter = [AccountFilter]
    search_help_text = _("number of the version")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        menus: QuerySet[Any] = super().get_queryset(request)
        return menus.select_related("version")

    def search_exactly(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        number = number_in(term.removeprefix("#"))
        return queryset.none() if number is None else queryset.filter(version=number)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        menu = self.get_object(request, object_id)
        if menu is None or not self.has_view_permission(request, menu):
            raise Http404
        return HttpResponseRedirect(listing_of(menu.account))

    @display(description=_("Official Account"))
    def shown_account(self, menu: LiveMenu) -> str:
        return menu.account.name

    @display(description=_("what followers see"))
    def shown_version(self, menu: LiveMenu) -> str:
        if menu.version is None:
            return str(_("WeChat shows no menu.") if menu.asked_at else "–")
        return f"{menu.version} {names(menu.version.content)}"

    @display(description=_("asked"))
    def shown_asked_at(self, menu: LiveMenu) -> str:
        return moment(menu.asked_at, menu.account)

    @display(description=_("reason"))
    def reason(self, menu: LiveMenu) -> str:
        return failure_of(menu) or "–"

"""The page that takes over the replies and the menu of WeChat's console."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from events.admin.access import AccountModelAdmin, chosen_account, visible_accounts
from events.admin.hindered import say_hindrances
from events.admin.rules.state import names_of, page_of_rules
from events.answering.rule_words import Names, answers_in_words, trigger_in_words
from events.answering.take_over import (
    Candidate,
    add_rules,
    candidates,
    new_rules,
    rules_of_console,
)
from events.answering.take_over_menu import TakenMenu, taken_menu
from events.audit.record import record
from events.menus.menu_words import Entry, entries, sentence
from events.models import MenuVersion, OfficialAccount, ReplyRule
from events.platform.client import client_for
from events.platform.failures import explanation
from events.platform.hindrances import CONSOLE_REPLIES, hindrance
from events.rules.data import Rule
from events.wechat.api import APIError
from events.wechat.api.menu_model import CurrentMenu, Menu, problems

__all__ = ["TakeOverPage"]


@dataclass(frozen=True, slots=True)
class ConsoleState:
    """The console's replies and menu, as WeChat reports them."""

    rules: list[Rule]
    current: CurrentMenu

    @classmethod
    def at(cls, account: OfficialAccount) -> ConsoleState:
        """Asks WeChat, with two calls; raises APIError."""
        client = client_for(account)
        return cls(list(rules_of_console(client.auto_replies.current())), client.menus.current())

    @property
    def taken(self) -> TakenMenu:
        return taken_menu(self.current.menu)

    @property
    def seen(self) -> str:
        """A digest of the findings, so that nobody takes over anything unseen."""
        return hashlib.sha256(repr((self.rules, self.current)).encode()).hexdigest()


class TakeOverPage(AccountModelAdmin):
    """A base class of the admin of ReplyRule."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.take_over)
        return [path("take-over/", view, name="events_replyrule_take_over"), *super().get_urls()]

    def take_over(self, request: HttpRequest) -> HttpResponse:
        """Asks WeChat on request, shows the resulting rules and menu, and takes them over."""
        if not (self.has_add_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        account = chosen_account(request)
        found = None
        hindered = hindrance(account.pk, CONSOLE_REPLIES) if account else None
        if account is not None:
            say_hindrances(request, CONSOLE_REPLIES, account.pk)
        if account is not None and hindered is None and request.method == "POST":
            try:
                found = ConsoleState.at(account)
            except APIError as error:
                messages.error(request, _error_sentence(error))
            if found is not None and "take" in request.POST:
                if request.POST.get("seen") == found.seen:
                    return self._take(request, account, found)
                messages.warning(
                    request, _("Something has changed meanwhile. Look at it once more.")
                )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Take over from WeChat's console"),
            "media": self.media,
            "accounts": list(visible_accounts(request)),
            "account": account,
            "may_ask": hindered is None,
            "back": page_of_rules(account) if account else "",
            "found": found,
            **(_shown(account, found) if account and found else {}),
            "may_write_menu": request.user.has_perm("events.add_menuversion"),
        }
        return TemplateResponse(request, "admin/events/replyrule/take_over.html", context)

    def _take(
        self, request: HttpRequest, account: OfficialAccount, found: ConsoleState
    ) -> HttpResponse:
        with_menu = "menu" in request.POST and request.user.has_perm("events.add_menuversion")
        wanted = [*found.rules, *(found.taken.rules if with_menu else ())]
        rules = new_rules(account, wanted)
        version = None
        # Without its rules the menu has keys that nothing answers.
        with transaction.atomic():
            added = add_rules(account, rules)
            record("take_over", ReplyRule, account=account, details={"rows": len(added)})
            if with_menu:
                version = _add_menu(account, found.taken.menu, by=request.user)
                menus = self.admin_site.get_model_admin(MenuVersion)
                menus.log_addition(request, version, [{"added": {}}])
        messages.success(
            request,
            ngettext(
                "%s rule is added to the draft. It answers once you publish.",
                "%s rules are added to the draft. They answer once you publish.",
                len(added),
            )
            % len(added),
        )
        if version is None:
            return HttpResponseRedirect(page_of_rules(account))
        messages.success(request, _("The menu is version %s, a draft.") % version)
        return HttpResponseRedirect(reverse("admin:events_menuversion_change", args=[version.pk]))


def _add_menu(account: OfficialAccount, menu: Menu, *, by: Any) -> MenuVersion:
    return MenuVersion.objects.create(
        account=account,
        menu=menu.to_json(),
        note=str(_("Taken over from WeChat's console")),
        created_by=by,
        due_at=None,
    )


def _shown(account: OfficialAccount, found: ConsoleState) -> dict[str, Any]:
    names = names_of(account.pk)
    taken = found.taken
    menu_names = Names({rule.trigger.keys[0]: rule.name for rule in taken.rules}, {})
    return {
        "rules": [_line(one, names) for one in candidates(account, found.rules)],
        "menu_rules": [_line(one, menu_names) for one in candidates(account, list(taken.rules))],
        "is_open": found.current.is_open,
        "entries": _entries(found.current.menu, taken.menu),
        "left": [entry.name for entry in taken.left],
        "menu_problems": [sentence(problem) for problem in problems(taken.menu)],
    }


def _line(one: Candidate, names: Names) -> dict[str, Any]:
    return {
        "name": one.rule.name,
        "trigger": trigger_in_words(one.rule.trigger, names),
        "answers": answers_in_words(one.rule),
        "is_known": one.is_known,
        "losses": one.losses,
    }


def _entries(menu: Menu, taken: Menu) -> list[tuple[Entry, Entry | None]]:
    """Returns each entry with its new form; None if it stays unchanged."""
    return [
        (was, becomes if becomes.button.type != was.button.type else None)
        for was, becomes in zip(entries(menu), entries(taken), strict=True)
    ]


def _error_sentence(error: APIError) -> str:
    return f"{_('WeChat could not be asked.')} {explanation(error.label)} {error}"

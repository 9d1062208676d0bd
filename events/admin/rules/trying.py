"""Pages that try rules out: the test box, the replay of a week, unmatched texts."""

from __future__ import annotations

import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.admin.access import AccountModelAdmin, chosen_account, visible_accounts
from events.admin.rules.box import Box, BoxForm
from events.admin.rules.state import names_of, page_of_rules
from events.answering.publish_rules import draft_of, live_version
from events.answering.replay import Replayed, replay
from events.answering.rule_words import Names
from events.kinds import label
from events.models import OfficialAccount
from events.rules.data import Rule
from events.stats.days import Days
from events.stats.reading.unmatched_texts import UnmatchedText, unmatched_texts
from events.viewer import HIDDEN, may_see_contents

__all__ = ["TryingPages", "unmatched_of"]

_MOST_TEXTS = 20
_WEEK = datetime.timedelta(days=6)


class TryingPages(AccountModelAdmin):
    """A base class of the admin of ReplyRule."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("test/", view(self.test), name="events_replyrule_test"),
            path("replay/", view(self.replay), name="events_replyrule_replay"),
            *super().get_urls(),
        ]

    def test(self, request: HttpRequest) -> HttpResponse:
        """Shows for a follower's act the winning rule, why others lose, and the phone."""
        context = self._trying(request, _("Test"))
        account = context["account"]
        form = BoxForm(request.GET if "act" in request.GET else None, context["names"].tags)
        context["form"] = form
        if account is not None and form.is_valid():
            names: Names = context["names"]
            context["box"] = Box.of(form, account, context["rules"], dict(names.codes))
        return TemplateResponse(request, "admin/events/replyrule/test.html", context)

    def replay(self, request: HttpRequest) -> HttpResponse:
        """Shows how the rules would answer the messages of the last seven days."""
        context = self._trying(request, _("Replay of the last 7 days"))
        account = context["account"]
        if account is not None:
            context["replay"] = replay(account, context["rules"])
            names_of_rules = {rule.id: rule.name for rule in context["rules"]}
            if context["live"] is not None:
                live_names = {rule.id: rule.name for rule in context["live"].content}
                names_of_rules = live_names | names_of_rules
            context["rows"] = [
                {
                    "row": row,
                    "kind": label(row.kind),
                    "said": _said(row, context["names"]),
                    "former": names_of_rules.get(row.former, "–") if row.former else "–",
                    "now": names_of_rules.get(row.now, "–") if row.now else "–",
                }
                for row in context["replay"].rows
            ]
        return TemplateResponse(request, "admin/events/replyrule/replay.html", context)

    def _trying(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        """Returns the context of both pages: an account, and its draft or its live rules."""
        if not self.has_view_permission(request):
            raise Http404
        account = chosen_account(request)
        live = live_version(account.pk) if account else None
        of_live = request.GET.get("of") == "live"
        rules: list[Rule] = []
        if account is not None:
            rules = list(live.content) if of_live and live else draft_of(account.pk)
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "media": self.media,
            "accounts": list(visible_accounts(request)),
            "account": account,
            "names": names_of(account.pk) if account else Names({}, {}),
            "rules": rules,
            "live": live,
            "of_live": of_live,
            "may_add": self.has_add_permission(request),
            "back": page_of_rules(account) if account else "",
        }


def _said(row: Replayed, names: Names) -> str:
    """Returns the text, masked for users who may not read it, or the name of a key."""
    if "." not in row.kind:
        return row.said if may_see_contents() else HIDDEN
    return names.menu.get(row.said) or names.codes.get(row.said) or row.said


def unmatched_of(account: OfficialAccount) -> list[UnmatchedText] | None:
    """Returns this week's most frequent unmatched texts; None for users who may not read them."""
    if not may_see_contents():
        return None
    today = timezone.now().astimezone(account.zone).date()
    return unmatched_texts(Days([account], today - _WEEK, today), limit=_MOST_TEXTS)

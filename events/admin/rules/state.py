"""The state of an account's rules for pages: each rule in words, with hits and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from events.admin.html import moment
from events.answering.hits import Hits, hits_of
from events.answering.people_slot import code_names, tag_names
from events.answering.publish_rules import live_version
from events.answering.rule_words import (
    Names,
    answers_in_words,
    changes,
    conditions_in_words,
    sentence,
    trigger_in_words,
)
from events.menus.names import keys_of_live_menus
from events.models import OfficialAccount, ReplyRule, RuleVersion
from events.platform.hindrances import Hindrance, hindrance
from events.rules.check import never_wins, problems
from events.rules.data import On, Rule
from events.rules.rule_answers import needs_messages
from events.wechat.api.custom_messages import SEND_PATH

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "ANY_KEY",
    "RuleRow",
    "RulesPage",
    "keys_answered",
    "names_of",
    "page_of_rules",
]


def names_of(account_id: int) -> Names:
    """Returns the names of the account's menu entries and QR codes by key, and of its tags."""
    menu = {key: path for _account, key, path in keys_of_live_menus([account_id])}
    return Names(menu, code_names(account_id), tag_names(account_id))


def page_of_rules(account: OfficialAccount) -> str:
    """Returns the address of the page of an account's rules."""
    listing = reverse("admin:events_replyrule_changelist")
    return f"{listing}?{urlencode({'account': account.slug})}"


# Stands for any key; a key of a menu is never empty.
ANY_KEY = ""


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule of the list."""

    number: int
    row: ReplyRule
    rule: Rule
    trigger: str
    conditions: list[str]
    answers: list[str]
    hits: Hits
    last: str
    state: tuple[str, StrOrPromise] | None
    notes: list[str]
    # Why its messages are not sent; "" if they are. The editor shows it beside the answers.
    unsent: str


@dataclass(frozen=True, slots=True)
class RulesPage:
    """The draft of an account's rules, compared with the live rules."""

    account: OfficialAccount
    names: Names
    rows: list[RuleRow]
    live: RuleVersion | None
    changes: list[str]
    # Keys and names of the live menu's entries that neither a live rule nor the draft answers.
    silent_entries: list[tuple[str, str]]

    @classmethod
    def of(cls, account: OfficialAccount) -> RulesPage:
        names = names_of(account.pk)
        stored = list(ReplyRule.objects.filter(account=account).order_by("position", "pk"))
        rules = [row.rule for row in stored]
        live = live_version(account.pk)
        former = live.content if live else ()
        here = timezone.now().astimezone(account.zone).replace(tzinfo=None)
        beaten = never_wins(rules, here)
        numbers = {rule.id: number for number, rule in enumerate(rules, start=1)}
        speaks = any(map(needs_messages, rules))
        hindered = hindrance(account.pk, SEND_PATH) if speaks else None
        hits = hits_of(row.pk for row in stored)
        rows = [
            _row(account, names, row, rule, number, hits.get(row.pk, Hits()), former, hindered)
            for number, (row, rule) in enumerate(zip(stored, rules, strict=True), start=1)
        ]
        for shown in rows:
            if shown.rule.id not in beaten:
                continue
            earlier = beaten[shown.rule.id]
            if earlier is None:
                if not problems(shown.rule):
                    shown.notes.append(_("It can never win: its time is over."))
            else:
                shown.notes.append(
                    _("It can never win: rule %(number)s, “%(name)s”, takes all of it.")
                    % {"number": numbers[earlier.id], "name": earlier.name}
                )
        answered = {*keys_answered(rules), *keys_answered(former)}
        silent = [
            (key, name)
            for key, name in names.menu.items()
            if key not in answered and ANY_KEY not in answered
        ]
        return cls(account, names, rows, live, changes(former, rules, names), silent)

    def row_of(self, rule: ReplyRule) -> RuleRow | None:
        return next((shown for shown in self.rows if shown.row.pk == rule.pk), None)


def keys_answered(rules: Sequence[Rule]) -> dict[str, Rule]:
    """Returns the first rule that answers each menu key; ANY_KEY stands for all keys."""
    found: dict[str, Rule] = {}
    for rule in rules:
        if rule.is_on and rule.trigger.on is On.MENU:
            for key in rule.trigger.keys or (ANY_KEY,):
                found.setdefault(key, rule)
    return found


def _row(
    account: OfficialAccount, names: Names, row: ReplyRule, rule: Rule, number: int, hits: Hits,
    former: Sequence[Rule], hindered: Hindrance | None,
) -> RuleRow:  # fmt: skip
    unknown = [key for key, name in names.of(rule.trigger) if not name]
    notes = [sentence(problem) for problem in problems(rule)]
    if unknown and rule.trigger.on is On.MENU:
        notes.append(_("Not in the menu that followers see: %s") % ", ".join(unknown))
    elif unknown:
        notes.append(_("No QR code here has this scene: %s") % ", ".join(unknown))
    without_name = sorted(rule.conditions.tags - names.tags.keys())
    if without_name:
        notes.append(
            _("The account has no such tag, or its tags were not read yet: %s")
            % ", ".join(map(names.of_tag, without_name))
        )
    unsent = ""
    if hindered is not None and needs_messages(rule):
        unsent = _("What it says beside its passive reply is not sent. %s") % hindered
    return RuleRow(
        number=number,
        row=row,
        rule=rule,
        trigger=trigger_in_words(rule.trigger, names),
        conditions=conditions_in_words(rule.conditions, names),
        answers=answers_in_words(rule),
        hits=hits,
        last=moment(hits.last_at, account) if hits.last_at else "–",
        state=_state(rule, former),
        notes=notes,
        unsent=unsent,
    )


def _state(rule: Rule, former: Sequence[Rule]) -> tuple[str, Any] | None:
    for live in former:
        if live.id == rule.id:
            return None if live == rule else ("warning", _("changed, not published"))
    return "info", _("new, not published")

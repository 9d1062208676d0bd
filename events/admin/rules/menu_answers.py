"""Finds the rule that answers each key of a menu, for the pages of menus."""

from __future__ import annotations

from dataclasses import dataclass

from events.admin.rules.state import ANY_KEY, keys_answered
from events.answering.publish_rules import draft_of, live_version
from events.answering.rule_words import answers_in_words
from events.menus.menu_words import entries
from events.rules.data import Rule
from events.wechat.api.menu_model import Menu

__all__ = ["KeyAnswer", "answers_of_keys"]

# WeChat shows an answer to taps on these types of entries.
_ANSWERED = {"click", "scancode_waitmsg"}


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """An entry that sends a key, and its rule; with `is_draft` the rule is not published yet."""

    path: str
    key: str
    rule: Rule | None
    is_draft: bool

    @property
    def answers(self) -> list[str]:
        return answers_in_words(self.rule) if self.rule else []


def answers_of_keys(account_id: int, menu: Menu) -> list[KeyAnswer]:
    """Returns the answers in the menu's order; empty for a menu without keys."""
    sent = [entry for entry in entries(menu) if entry.button.type in _ANSWERED]
    if not sent:
        return []
    version = live_version(account_id)
    live = keys_answered(version.content if version else ())
    draft = keys_answered(draft_of(account_id))
    found = []
    for entry in sent:
        key = entry.button.key
        now = live.get(key) or live.get(ANY_KEY)
        then = draft.get(key) or draft.get(ANY_KEY)
        found.append(KeyAnswer(entry.path, key, now or then, is_draft=now is None))
    return found

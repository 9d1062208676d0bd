"""The welcome of a QR code: the rule that answers a follow by it, and rules that may answer too."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from events.answering.publish_rules import add_to_draft, draft_of, live_version
from events.models import ReplyRule
from events.rules.check import never_wins
from events.rules.data import Answer, AnswerKind, On, Rule, Trigger
from subscribers.models import QRScene

__all__ = ["Welcome", "welcome_of", "welcome_rule", "write_welcome"]


@dataclass(frozen=True, slots=True)
class Welcome:
    """The rules that answer a follow by one code.

    `own` is the draft's rule for this code alone, and `text` its answer if that is a single text.
    `above` has the rules before `own` that may answer a follow by this code; without `own`, all
    such rules. `beats` is the rule that always wins against `own`. `is_live` says that the draft's
    `own` is published, `is_alone` that the draft has no other change to publish.
    """

    own: Rule | None
    text: str | None
    above: tuple[Rule, ...]
    beats: Rule | None
    is_live: bool
    is_alone: bool


def welcome_of(code: QRScene) -> Welcome:
    """The welcome of a code, by the account's draft and its live rules."""
    rules = draft_of(code.account_id)
    live = live_version(code.account_id)
    published = live.content if live is not None else ()
    own = next((rule for rule in rules if _is_own(rule.trigger, code.scene)), None)
    place = rules.index(own) if own is not None else len(rules)
    number = own.id if own is not None else 0
    now = timezone.now().astimezone(code.account.zone).replace(tzinfo=None)
    return Welcome(
        own=own,
        text=_text(own),
        above=tuple(rule for rule in rules[:place] if _may_answer(rule, code.scene)),
        beats=never_wins(rules, now).get(number),
        is_live=own is not None and own in published,
        is_alone=_others(rules, number) == _others(published, number),
    )


def welcome_rule(code: QRScene, text: str) -> Rule:
    """The rule that answers a follow by the code with this text; it has no number yet."""
    trigger = Trigger(On.FOLLOW, keys=(code.scene,))
    return Rule(0, code.name[:100], trigger, answers=(Answer(AnswerKind.TEXT, content=text),))


def write_welcome(code: QRScene, text: str) -> None:
    """Writes the welcome into the draft; an empty text removes it from the draft.

    A new rule goes before the first rule that answers every follow, so that it wins. A rule that
    answers more than one text stays as it is.
    """
    with transaction.atomic():
        welcome = welcome_of(code)
        own = welcome.own
        if own is None:
            if text:
                general = (r for r in draft_of(code.account_id) if _is_general(r))
                before = next(general, None)
                add_to_draft(code.account_id, welcome_rule(code, text), before=before)
        elif welcome.text is not None:
            row = ReplyRule.objects.get(pk=own.id)
            if text:
                row.answers = welcome_rule(code, text).to_json()["answers"]
                row.save(update_fields=["answers"])
            else:
                row.delete()


def _is_own(trigger: Trigger, scene: str) -> bool:
    return trigger == Trigger(On.FOLLOW, keys=(scene,))


def _is_general(rule: Rule) -> bool:
    return rule.trigger.on is On.FOLLOW and not rule.trigger.keys


def _may_answer(rule: Rule, scene: str) -> bool:
    trigger = rule.trigger
    return rule.is_on and trigger.on is On.FOLLOW and (not trigger.keys or scene in trigger.keys)


def _text(own: Rule | None) -> str | None:
    if own is None:
        return ""
    kinds = [answer.kind for answer in own.answers]
    return own.answers[0].content if kinds == [AnswerKind.TEXT] and not own.later else None


def _others(rules: list[Rule] | tuple[Rule, ...], number: int) -> list[Rule]:
    return [rule for rule in rules if rule.id != number]

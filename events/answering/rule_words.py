"""Describes reply rules to operators: triggers, conditions, answers and mistakes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils.dates import WEEKDAYS
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events.rules.check import Mistake, Problem
from events.rules.data import (
    Answer,
    AnswerChoice,
    AnswerKind,
    Bound,
    Conditions,
    Follow,
    How,
    MessageKind,
    On,
    Rule,
    Trigger,
)
from events.rules.decide import Reason

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "ANSWERS",
    "BOUND",
    "FIELDS",
    "FOLLOWS",
    "HOWS",
    "KINDS",
    "ONS",
    "Names",
    "answers_in_words",
    "changes",
    "conditions_in_words",
    "reason_in_words",
    "sentence",
    "trigger_in_words",
]

_SHOWN = 60

ONS: dict[str, StrOrPromise] = {
    On.MESSAGE: gettext_lazy("a message (收到消息)"),
    On.MENU: gettext_lazy("a menu tap (点击菜单)"),
    On.FOLLOW: gettext_lazy("a follow (关注)"),
    On.SCAN: gettext_lazy("a QR scan while following (扫码)"),
    On.OTHER: gettext_lazy("a message that no other rule matches (默认回复)"),
}
FOLLOWS: dict[str, StrOrPromise] = {
    Follow.ANY: gettext_lazy("any follow"),
    Follow.FIRST: gettext_lazy("the first follow"),
    Follow.AGAIN: gettext_lazy("a follow after an earlier one"),
}
KINDS: dict[str, StrOrPromise] = {
    MessageKind.ANY: gettext_lazy("any message"),
    MessageKind.TEXT: gettext_lazy("text (文本)"),
    MessageKind.IMAGE: gettext_lazy("picture (图片)"),
    MessageKind.VOICE: gettext_lazy("voice (语音)"),
    MessageKind.VIDEO: gettext_lazy("video (视频)"),
    MessageKind.LOCATION: gettext_lazy("location (位置)"),
    MessageKind.LINK: gettext_lazy("link (链接)"),
    MessageKind.FILE: gettext_lazy("file (文件)"),
    MessageKind.MINI_PROGRAM: gettext_lazy("mini program card (小程序卡片)"),
}
HOWS: dict[str, StrOrPromise] = {
    How.ANY: gettext_lazy("whatever it says"),
    How.EQUAL: gettext_lazy("equals one of the words (全匹配)"),
    How.CONTAINS_ANY: gettext_lazy("contains one of the words (半匹配)"),
    How.CONTAINS_ALL: gettext_lazy("contains all the words"),
    How.BEGINS: gettext_lazy("begins with one of the words"),
    How.PATTERN: gettext_lazy("fits a pattern (正则表达式)"),
    How.EXACT: gettext_lazy("is one of the words to the letter"),
}
BOUND: dict[str, StrOrPromise] = {
    Bound.EITHER: gettext_lazy("bound to a user or not"),
    Bound.YES: gettext_lazy("bound to a user (已绑定)"),
    Bound.NO: gettext_lazy("not bound (未绑定)"),
}
ANSWERS: dict[str, StrOrPromise] = {
    AnswerKind.TEXT: gettext_lazy("text (文本)"),
    AnswerKind.IMAGE: gettext_lazy("picture (图片)"),
    AnswerKind.VOICE: gettext_lazy("voice (语音)"),
    AnswerKind.VIDEO: gettext_lazy("video (视频)"),
    AnswerKind.MUSIC: gettext_lazy("music (音乐)"),
    AnswerKind.NEWS: gettext_lazy("link card (图文)"),
    AnswerKind.ARTICLE: gettext_lazy("published article (已发布文章)"),
    AnswerKind.MINI_PROGRAM: gettext_lazy("mini program card (小程序卡片)"),
    AnswerKind.AGENT: gettext_lazy("hand over to an agent (转人工客服)"),
    AnswerKind.AI: gettext_lazy("hand over to WeChat's AI (微信智能回复)"),
    AnswerKind.NOTHING: gettext_lazy("nothing (不回复)"),
}
FIELDS: dict[str, StrOrPromise] = {
    "kind": gettext_lazy("answer"),
    "content": gettext_lazy("text"),
    "media_id": gettext_lazy("file"),
    "title": gettext_lazy("title"),
    "description": gettext_lazy("description"),
    "url": gettext_lazy("address (URL)"),
    "hq_url": gettext_lazy("address for Wi-Fi"),
    "pic_url": gettext_lazy("picture's address"),
    "article_id": gettext_lazy("article's article_id"),
    "app_id": gettext_lazy("mini program's AppID"),
    "page": gettext_lazy("mini program's page"),
    "thumb_media_id": gettext_lazy("thumbnail, a picture of the media library"),
    "kf_account": gettext_lazy("agent (name@account); empty: anybody"),
    "delay": gettext_lazy("after so many seconds"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """The names of menu keys, scenes and tags' numbers; unknown ones are missing."""

    menu: Mapping[str, str]
    codes: Mapping[str, str]
    tags: Mapping[int, str] = field(default_factory=dict)

    def of(self, trigger: Trigger) -> list[tuple[str, str]]:
        """Returns each key of the trigger with its name, "" for none."""
        names = self.menu if trigger.on is On.MENU else self.codes
        return [(key, names.get(key, "")) for key in trigger.keys]

    def of_tag(self, number: int) -> str:
        return self.tags.get(number) or f"#{number}"


def named(name: StrOrPromise, said: StrOrPromise) -> str:
    """Returns "name: said", with the colon of the current language."""
    return _("%(name)s: %(said)s") % {"name": name, "said": said}


def trigger_in_words(trigger: Trigger, names: Names) -> str:
    """Describes when a rule fits."""
    keys = _(", ").join(name or key for key, name in names.of(trigger))
    match trigger.on:
        case On.FOLLOW:
            said = str(FOLLOWS[trigger.follow])
            return _("%(follow)s by %(codes)s") % {"follow": said, "codes": keys} if keys else said
        case On.SCAN:
            return _("scan of %s") % keys if keys else _("scan of any code")
        case On.MENU:
            return _("menu: %s") % keys if keys else _("any menu key")
        case On.OTHER:
            said = _("nothing else matched")
            return said if trigger.kind is MessageKind.ANY else named(said, KINDS[trigger.kind])
        case On.MESSAGE:
            kind = str(KINDS[trigger.kind])
            if trigger.how is How.ANY:
                return kind
            words = Truncator(_(", ").join(trigger.words)).chars(_SHOWN)
            said = named(HOWS[trigger.how], words)
            return said if trigger.kind is MessageKind.ANY else f"{kind} – {said}"


def conditions_in_words(conditions: Conditions, names: Names) -> list[str]:
    """Describes each condition of a rule."""
    said: list[str] = []
    if conditions.weekdays:
        said.append(_(", ").join(str(WEEKDAYS[day]) for day in sorted(conditions.weekdays)))
    if conditions.hours:
        outside = conditions.hours.is_outside
        said.append((_("outside %s") if outside else _("within %s")) % conditions.hours)
    if conditions.since:
        said.append(_("from %s") % _moment(conditions.since))
    if conditions.until:
        said.append(_("until %s") % _moment(conditions.until))
    if conditions.tags:
        tags = _(", ").join(map(names.of_tag, sorted(conditions.tags)))
        said.append(_("with a tag of %s") % tags)
    if conditions.bound is not Bound.EITHER:
        said.append(str(BOUND[conditions.bound]))
    return said


def _moment(at: datetime.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def answer_in_words(answer: Answer) -> str:
    """Describes one answer: a text by its beginning, other kinds by their name too."""
    said = answer.content or answer.title or answer.media_id or answer.article_id
    if answer.kind is AnswerKind.TEXT:
        return Truncator(said).chars(_SHOWN)
    name = str(ANSWERS[answer.kind])
    return named(name, Truncator(said).chars(_SHOWN)) if said else name


def answers_in_words(rule: Rule) -> list[str]:
    """Describes all that a rule sends, with the delays of later messages."""
    said = [answer_in_words(answer) for answer in rule.answers]
    if rule.choice is AnswerChoice.ONE and len(said) > 1:
        said.insert(0, _("one at random of:"))
    for answer in rule.later:
        after = _("after %s s") % answer.delay
        said.append(named(after, answer_in_words(answer)))
    return said


def sentence(problem: Problem) -> str:
    """Returns a sentence about the mistake, to show beside the field."""
    match problem.mistake:
        case Mistake.NO_WORDS:
            return _("Write at least one word.")
        case Mistake.TOO_MANY_WORDS:
            return _("At most %s words.") % problem.detail
        case Mistake.NOT_A_PATTERN:
            return _("This pattern does not work: %s") % problem.detail
        case Mistake.NO_ANSWER:
            return _("Choose what is answered, “nothing” included.")
        case Mistake.TOO_MANY_ANSWERS:
            return _("At most %s of these.") % problem.detail
        case Mistake.MISSING:
            return _("This is missing.")
        case Mistake.TOO_LONG if problem.field.endswith("content"):
            return _("WeChat takes at most 2048 bytes: about 680 Chinese characters.")
        case Mistake.TOO_LONG:
            return _("At most %s characters.") % problem.detail
        case Mistake.NOT_AN_ADDRESS:
            return _("An address begins with https:// or http:// and has no spaces.")
        case Mistake.UNPRINTABLE:
            return _("The text has a character that cannot be printed.")
        case Mistake.ONLY_MESSAGES:
            return _("WeChat hands over messages alone, no follow, scan or menu tap.")
        case Mistake.NOT_LATER:
            return _("This cannot be sent as a message afterwards.")
        case Mistake.DELAY:
            return _("From 0 seconds to 48 hours.")
        case Mistake.EMPTY_TIME:
            return _("The end is not after the beginning.")
        case Mistake.EMPTY_HOURS:
            return _("The hours begin and end at the same time.")


_REASONS: dict[Reason, StrOrPromise] = {
    Reason.WON: gettext_lazy("is the one that answers"),
    Reason.OFF: gettext_lazy("is switched off"),
    Reason.TRIGGER: gettext_lazy("waits for something else"),
    Reason.KIND: gettext_lazy("waits for another kind of message"),
    Reason.KEY: gettext_lazy("waits for another key"),
    Reason.WORDS: gettext_lazy("its words do not fit"),
    Reason.FOLLOW: gettext_lazy("first follow or follow again does not fit"),
    Reason.WEEKDAY: gettext_lazy("not on this weekday"),
    Reason.HOURS: gettext_lazy("not at this hour"),
    Reason.NOT_YET: gettext_lazy("has not begun yet"),
    Reason.OVER: gettext_lazy("is over"),
    Reason.TAGS: gettext_lazy("the follower has none of its tags"),
    Reason.BOUND: gettext_lazy("bound or not bound does not fit"),
    Reason.LATER: gettext_lazy("fits too, but stands later"),
}


def reason_in_words(reason: Reason) -> str:
    return str(_REASONS[reason])


def changes(before: Sequence[Rule], after: Sequence[Rule], names: Names) -> list[str]:
    """Returns a sentence for each rule that publishing `after` changes; empty if none."""
    former = {rule.id: rule for rule in before}
    present = {rule.id for rule in after}
    told = [_("Gone: %s") % rule.name for rule in before if rule.id not in present]
    for rule in after:
        if rule.id not in former:
            told.append(_("New: %s") % _described(rule, names))
        elif former[rule.id] != rule:
            was, is_now = _described(former[rule.id], names), _described(rule, names)
            if was == is_now:
                told.append(_("Changed: %s") % is_now)
            else:
                told.append(_("Changed: %(was)s → %(is)s") % {"was": was, "is": is_now})
    kept_before = [rule.id for rule in before if rule.id in present]
    if kept_before != [rule.id for rule in after if rule.id in former]:
        told.append(_("Changed: the order of the rules"))
    return told


def _described(rule: Rule, names: Names) -> str:
    parts = [
        trigger_in_words(rule.trigger, names),
        *conditions_in_words(rule.conditions, names),
        "→ " + " / ".join(answers_in_words(rule)),
    ]
    if not rule.is_on:
        parts.append(_("switched off"))
    return named(rule.name, _("; ").join(parts))

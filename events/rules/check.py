"""Finds mistakes in rules, and rules that never win because of an earlier rule."""

from __future__ import annotations

import datetime
import enum
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from events.rules.data import (
    Answer,
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
from events.rules.decide import in_order
from events.rules.folding import folded
from events.rules.rule_answers import FIELDS
from events.rules.words import NotAPattern, compiled
from events.wechat.replies import TEXT_LIMIT

__all__ = [
    "LONGEST",
    "MOST_ANSWERS",
    "Mistake",
    "Problem",
    "never_wins",
    "problems",
]

MOST_ANSWERS = 5
# The first answer is the reply; WeChat lets five messages follow it.
MOST_LATER = 5
MOST_WORDS = 100
# Seconds: the length of the longest message window.
LONGEST_DELAY = 48 * 3600
# Characters of each text; of `content`, bytes.
LONGEST = {
    "content": TEXT_LIMIT,
    "media_id": 128,
    "thumb_media_id": 128,
    "title": 64,
    "description": 512,
    "url": 1024,
    "hq_url": 1024,
    "pic_url": 1024,
    "article_id": 128,
    "app_id": 32,
    "page": 1024,
    "kf_account": 64,
}
# Answers that hand a message over; WeChat hands over only messages.
_HANDED_OVER = frozenset({AnswerKind.AGENT, AnswerKind.AI})


class Mistake(enum.StrEnum):
    NO_WORDS = "no_words"
    TOO_MANY_WORDS = "too_many_words"
    NOT_A_PATTERN = "not_a_pattern"
    NO_ANSWER = "no_answer"
    TOO_MANY_ANSWERS = "too_many_answers"
    MISSING = "missing"
    TOO_LONG = "too_long"
    NOT_AN_ADDRESS = "not_an_address"
    UNPRINTABLE = "unprintable"
    ONLY_MESSAGES = "only_messages"
    NOT_LATER = "not_later"
    DELAY = "delay"
    EMPTY_TIME = "empty_time"
    EMPTY_HOURS = "empty_hours"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake, its place (`answers.0.content`, `words`, …), and a detail, such as a limit."""

    field: str
    mistake: Mistake
    detail: str = ""


def problems(rule: Rule) -> list[Problem]:
    """Returns the mistakes of one rule, in the order of its fields."""
    return [
        *_of_trigger(rule.trigger),
        *_of_conditions(rule.conditions),
        *_of_answers(rule),
    ]


def _of_trigger(trigger: Trigger) -> Iterator[Problem]:
    if trigger.on is not On.MESSAGE or trigger.how is How.ANY:
        return
    if not trigger.words:
        yield Problem("words", Mistake.NO_WORDS)
    if len(trigger.words) > MOST_WORDS:
        yield Problem("words", Mistake.TOO_MANY_WORDS, str(MOST_WORDS))
    for word in trigger.words:
        if trigger.how is How.PATTERN:
            try:
                compiled(word)
            except NotAPattern as error:
                yield Problem("words", Mistake.NOT_A_PATTERN, f"{word[:40]}: {error}")
        elif not folded(word):
            yield Problem("words", Mistake.NO_WORDS)


def _of_conditions(conditions: Conditions) -> Iterator[Problem]:
    since, until = conditions.since, conditions.until
    if since is not None and until is not None and since >= until:
        yield Problem("until", Mistake.EMPTY_TIME)
    hours = conditions.hours
    if hours is not None and hours.since == hours.until:
        yield Problem("hours", Mistake.EMPTY_HOURS)


def _of_answers(rule: Rule) -> Iterator[Problem]:
    if not rule.answers:
        yield Problem("answers", Mistake.NO_ANSWER)
    for place, given, most in (
        ("answers", rule.answers, MOST_ANSWERS),
        ("later", rule.later, MOST_LATER),
    ):
        if len(given) > most:
            yield Problem(place, Mistake.TOO_MANY_ANSWERS, str(most))
        for number, answer in enumerate(given):
            for problem in _of_answer(answer):
                yield Problem(f"{place}.{number}.{problem.field}", problem.mistake, problem.detail)
    for number, answer in enumerate(rule.answers):
        if answer.kind in _HANDED_OVER and rule.trigger.on not in {On.MESSAGE, On.OTHER}:
            yield Problem(f"answers.{number}.kind", Mistake.ONLY_MESSAGES)
    for number, answer in enumerate(rule.later):
        if answer.kind in _HANDED_OVER or answer.kind is AnswerKind.NOTHING:
            yield Problem(f"later.{number}.kind", Mistake.NOT_LATER)
        if not 0 <= answer.delay <= LONGEST_DELAY:
            yield Problem(f"later.{number}.delay", Mistake.DELAY, str(LONGEST_DELAY))


def _of_answer(answer: Answer) -> Iterator[Problem]:
    for name, is_needed in FIELDS[answer.kind].items():
        text = getattr(answer, name)
        if is_needed and not text.strip():
            yield Problem(name, Mistake.MISSING)
        size = len(text.encode(errors="replace")) if name == "content" else len(text)
        if size > LONGEST[name]:
            yield Problem(name, Mistake.TOO_LONG, str(LONGEST[name]))
        if not all(_is_printable(character) for character in text):
            yield Problem(name, Mistake.UNPRINTABLE)
        if name.endswith("url") and text and not _is_address(text):
            yield Problem(name, Mistake.NOT_AN_ADDRESS)


def _is_printable(character: str) -> bool:
    if character in "\ufffe\uffff":
        return False
    return character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs"}


def _is_address(text: str) -> bool:
    return text.startswith(("https://", "http://")) and not any(map(str.isspace, text))


# --- Rules that never win ------------------------------------------------------------------------


def never_wins(rules: Sequence[Rule], now: datetime.datetime) -> dict[int, Rule | None]:
    """Returns the rules, by id, that can never win from `now` on (a time by the account's clock).

    The value is an earlier rule that wins every event that this one fits; None if the rule's own
    conditions never hold. It may miss rules, but returns no rule that can win.
    """
    found: dict[int, Rule | None] = {}
    before: list[Rule] = []
    for rule in in_order(rules):
        if not rule.is_on:
            continue
        if rule.conditions.until is not None and rule.conditions.until <= now:
            found[rule.id] = None
            continue
        if any(problem.mistake in _NEVER for problem in problems(rule)):
            found[rule.id] = None
            continue
        for earlier in before:
            if _covers(earlier, rule):
                found[rule.id] = earlier
                break
        else:
            before.append(rule)
    return found


_NEVER = frozenset({Mistake.EMPTY_TIME, Mistake.NO_WORDS, Mistake.NOT_A_PATTERN})


def _covers(earlier: Rule, later: Rule) -> bool:
    """Whether `earlier` wins every event that `later` fits."""
    return _covers_trigger(earlier.trigger, later.trigger) and _covers_conditions(
        earlier.conditions, later.conditions
    )


def _covers_trigger(one: Trigger, other: Trigger) -> bool:
    if one.on is On.MESSAGE and other.on is On.OTHER:
        # OTHER concerns messages too, so a rule for any message comes before it.
        return one.how is How.ANY and one.kind in {MessageKind.ANY, other.kind}
    if one.on is not other.on:
        return False
    match one.on:
        case On.MESSAGE:
            return one.kind in {MessageKind.ANY, other.kind} and _covers_words(one, other)
        case On.OTHER:
            return one.kind in {MessageKind.ANY, other.kind}
        case _:
            covers_keys = not one.keys or (bool(other.keys) and set(other.keys) <= set(one.keys))
            return covers_keys and one.follow in {Follow.ANY, other.follow}


def _covers_words(one: Trigger, other: Trigger) -> bool:
    if one.how is How.ANY:
        return True
    if one.how is other.how is How.PATTERN:
        return set(other.words) <= set(one.words)
    if How.PATTERN in {one.how, other.how} or other.how is How.ANY:
        return False
    if one.how is How.EXACT:
        return other.how is How.EXACT and set(other.words) <= set(one.words)
    words = [word for word in map(folded, one.words) if word]
    heard = [word for word in map(folded, other.words) if word]
    if not words or not heard:
        return False

    def fits(text: str) -> bool:
        match one.how:
            case How.EQUAL:
                return False
            case How.CONTAINS_ANY:
                return any(word in text for word in words)
            case How.CONTAINS_ALL:
                return all(word in text for word in words)
            case _:
                return text.startswith(tuple(words))

    match other.how:
        case How.EXACT | How.EQUAL:
            # Folding removes only punctuation at the end of a word, so its beginning stays.
            return all(text in words if one.how is How.EQUAL else fits(text) for text in heard)
        case How.BEGINS:
            return one.how in {How.BEGINS, How.CONTAINS_ANY, How.CONTAINS_ALL} and all(
                map(fits, heard)
            )
        case How.CONTAINS_ANY:
            return one.how in {How.CONTAINS_ANY, How.CONTAINS_ALL} and all(map(fits, heard))
        case _:
            if one.how is How.CONTAINS_ANY:
                return any(map(fits, heard))
            return one.how is How.CONTAINS_ALL and all(
                any(word in text for text in heard) for word in words
            )


def _covers_conditions(one: Conditions, other: Conditions) -> bool:
    return (
        (not one.weekdays or (bool(other.weekdays) and other.weekdays <= one.weekdays))
        and one.hours in {None, other.hours}
        and (one.since is None or (other.since is not None and one.since <= other.since))
        and (one.until is None or (other.until is not None and other.until <= one.until))
        and (not one.tags or (bool(other.tags) and other.tags <= one.tags))
        and one.bound in {Bound.EITHER, other.bound}
    )

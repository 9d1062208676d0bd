"""Decides which rule answers an event, from plain data, with the reason for each rule.

The live answer, the test box and the replay of past messages all use this module, so they agree. It
tries rules in their order, those for "nothing else matched" after all others; the first that fits
wins.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from events.rules.data import (
    EVENT_KINDS,
    Bound,
    Conditions,
    Follow,
    On,
    Rule,
)
from events.rules.words import Heard, is_match

__all__ = [
    "Follower",
    "Incoming",
    "NeedsFollower",
    "Reason",
    "RuleSet",
    "Verdict",
    "in_order",
    "verdicts",
]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A follower's act: the event's kind, its scene or menu key, its text.

    `at` is the time of the event by the account's clock, without a zone. `seed` selects a random
    answer, so that the same event always gets the same.
    """

    kind: str
    at: datetime.datetime
    key: str = ""
    text: str = ""
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Follower:
    """The person who acts. `is_again` says that they followed before; `code` names the QR code."""

    tags: frozenset[int] = frozenset()
    is_bound: bool = False
    is_again: bool = False
    remark: str = ""
    user: str = ""
    code: str = ""


class NeedsFollower(Exception):
    """The decision depends on the follower, who is not known yet."""


class Reason(enum.StrEnum):
    """Why a rule does not win; WON if it does."""

    WON = "won"
    OFF = "off"
    TRIGGER = "trigger"
    KIND = "kind"
    KEY = "key"
    WORDS = "words"
    FOLLOW = "follow"
    WEEKDAY = "weekday"
    HOURS = "hours"
    NOT_YET = "not_yet"
    OVER = "over"
    TAGS = "tags"
    BOUND = "bound"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Verdict:
    rule: Rule
    reason: Reason


def verdicts(
    rules: Iterable[Rule], incoming: Incoming, follower: Follower | None
) -> Iterator[Verdict]:
    """Yields for each rule whether it wins or why not, in the order in which they are tried.

    Raises NeedsFollower if the outcome depends on the follower, and `follower` is None.
    """
    yield from _tried(in_order(rules), incoming, follower)


def _tried(
    rules: Iterable[Rule], incoming: Incoming, follower: Follower | None
) -> Iterator[Verdict]:
    heard = Heard(incoming.text)
    is_won = False
    for rule in rules:
        reason = _reason(rule, incoming, heard, follower)
        if reason is Reason.WON and is_won:
            reason = Reason.LATER
        is_won = is_won or reason is Reason.WON
        yield Verdict(rule, reason)


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    """Returns the rules in the order of trying: those for "nothing else matched" last."""
    return sorted(rules, key=lambda rule: rule.trigger.on is On.OTHER)


class RuleSet:
    """An account's rules, prepared for many decisions: grouped by the kind of event."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        by_kind: dict[str, list[Rule]] = {}
        for rule in in_order(self.rules):
            if rule.is_on:
                for kind in rule.trigger.kinds:
                    by_kind.setdefault(kind, []).append(rule)
        self._by_kind = {kind: tuple(asked) for kind, asked in by_kind.items()}

    def concerns(self, kind: str) -> bool:
        """Whether any rule may answer events of this kind."""
        return kind in self._by_kind

    def winner(self, incoming: Incoming, follower: Follower | None) -> Rule | None:
        """Returns the rule that answers; None for no rule. Raises NeedsFollower."""
        asked = self._by_kind.get(incoming.kind)
        if asked is None:
            return None
        for verdict in _tried(asked, incoming, follower):
            if verdict.reason is Reason.WON:
                return verdict.rule
        return None


def _reason(rule: Rule, incoming: Incoming, heard: Heard, follower: Follower | None) -> Reason:
    """Returns the first reason against the rule; it checks the follower last."""
    trigger, conditions = rule.trigger, rule.conditions
    if not rule.is_on:
        return Reason.OFF
    if incoming.kind not in trigger.kinds:
        waits = incoming.kind in EVENT_KINDS[trigger.on]
        return Reason.KIND if waits else Reason.TRIGGER
    if trigger.on in {On.FOLLOW, On.SCAN, On.MENU}:
        if trigger.keys and incoming.key not in trigger.keys:
            return Reason.KEY
    elif trigger.on is On.MESSAGE and not is_match(trigger, heard):
        return Reason.WORDS
    against = _against_time(conditions, incoming.at)
    if against is not None:
        return against
    if trigger.on is On.FOLLOW and trigger.follow is not Follow.ANY:
        if follower is None:
            raise NeedsFollower
        if follower.is_again is not (trigger.follow is Follow.AGAIN):
            return Reason.FOLLOW
    if conditions.tags:
        if follower is None:
            raise NeedsFollower
        if conditions.tags.isdisjoint(follower.tags):
            return Reason.TAGS
    if conditions.bound is not Bound.EITHER:
        if follower is None:
            raise NeedsFollower
        if follower.is_bound is not (conditions.bound is Bound.YES):
            return Reason.BOUND
    return Reason.WON


def _against_time(conditions: Conditions, at: datetime.datetime) -> Reason | None:
    if conditions.since is not None and at < conditions.since:
        return Reason.NOT_YET
    if conditions.until is not None and at >= conditions.until:
        return Reason.OVER
    if conditions.weekdays and at.weekday() not in conditions.weekdays:
        return Reason.WEEKDAY
    if conditions.hours is not None and not conditions.hours.includes(at.time()):
        return Reason.HOURS
    return None

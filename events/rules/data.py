"""A reply rule (自动回复) as plain data: its trigger, its conditions and its answers.

A rule is stored and versioned as JSON; `rule_from_json` and `Rule.to_json` are inverse.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from events.rules.folding import folded

__all__ = [
    "EVENT_KINDS",
    "MESSAGE_KINDS",
    "Answer",
    "AnswerChoice",
    "AnswerKind",
    "Bound",
    "Conditions",
    "Follow",
    "Hours",
    "How",
    "MessageKind",
    "On",
    "Rule",
    "Trigger",
    "rule_from_json",
]


class On(enum.StrEnum):
    """The follower's act; OTHER is a message that no other rule matches."""

    FOLLOW = "follow"
    SCAN = "scan"
    MENU = "menu"
    MESSAGE = "message"
    OTHER = "other"


class Follow(enum.StrEnum):
    ANY = "any"
    FIRST = "first"
    AGAIN = "again"


class MessageKind(enum.StrEnum):
    ANY = "any"
    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    VIDEO = "video"
    LOCATION = "location"
    LINK = "link"
    FILE = "file"
    MINI_PROGRAM = "miniprogrampage"


class How(enum.StrEnum):
    """How words are compared; all but EXACT fold width, case and end punctuation."""

    ANY = "any"
    EXACT = "exact"
    EQUAL = "equal"
    CONTAINS_ANY = "contains_any"
    CONTAINS_ALL = "contains_all"
    BEGINS = "begins"
    PATTERN = "pattern"


class Bound(enum.StrEnum):
    EITHER = "either"
    YES = "yes"
    NO = "no"


class AnswerChoice(enum.StrEnum):
    """Which of several answers go out: all in their order, or one at random."""

    ALL = "all"
    ONE = "one"


class AnswerKind(enum.StrEnum):
    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    VIDEO = "video"
    MUSIC = "music"
    NEWS = "news"
    ARTICLE = "article"
    MINI_PROGRAM = "miniprogram"
    AGENT = "agent"
    AI = "ai"
    NOTHING = "nothing"


# The kinds of events (events.kinds) to which each trigger belongs.
MESSAGE_KINDS: Mapping[str, MessageKind] = {
    "text": MessageKind.TEXT,
    "image": MessageKind.IMAGE,
    "voice": MessageKind.VOICE,
    "video": MessageKind.VIDEO,
    "shortvideo": MessageKind.VIDEO,
    "location": MessageKind.LOCATION,
    "link": MessageKind.LINK,
    "file": MessageKind.FILE,
    "miniprogrampage": MessageKind.MINI_PROGRAM,
}
EVENT_KINDS: Mapping[On, tuple[str, ...]] = {
    On.FOLLOW: ("event.subscribe",),
    On.SCAN: ("event.scan",),
    # WeChat shows an answer only to these taps.
    On.MENU: ("event.click", "event.scancode_waitmsg"),
    On.MESSAGE: tuple(MESSAGE_KINDS),
    On.OTHER: tuple(MESSAGE_KINDS),
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a rule fits. `keys` are scenes or menu keys; empty means all.

    `kind`, `how` and `words` concern messages. `kinds` of events and `folded` words are computed
    from the other fields and kept, so that a decision among 500 rules takes 1.5 ms instead of 2.3.
    """

    on: On
    keys: tuple[str, ...] = ()
    follow: Follow = Follow.ANY
    kind: MessageKind = MessageKind.ANY
    how: How = How.ANY
    words: tuple[str, ...] = ()
    kinds: frozenset[str] = field(init=False, compare=False, repr=False)
    folded: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        kinds = EVENT_KINDS[self.on]
        if self.on in {On.MESSAGE, On.OTHER} and self.kind is not MessageKind.ANY:
            kinds = tuple(kind for kind in kinds if MESSAGE_KINDS[kind] is self.kind)
        object.__setattr__(self, "kinds", frozenset(kinds))
        words = (word for word in map(folded, self.words) if word)
        object.__setattr__(self, "folded", tuple(words))


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of each day; it passes midnight if `until` is not later than `since`."""

    since: datetime.time
    until: datetime.time
    is_outside: bool = False

    def includes(self, at: datetime.time) -> bool:
        if self.since < self.until:
            is_inside = self.since <= at < self.until
        else:
            is_inside = at >= self.since or at < self.until
        return is_inside is not self.is_outside

    def __str__(self) -> str:
        return f"{self.since:%H:%M}–{self.until:%H:%M}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a rule, which must all hold; times are by the account's clock.

    `weekdays` count from Monday = 0; empty means all. `since` is included, `until` is not. `tags`
    are WeChat's numbers; the follower must have one of them.
    """

    weekdays: frozenset[int] = frozenset()
    hours: Hours | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    tags: frozenset[int] = frozenset()
    bound: Bound = Bound.EITHER


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; rule_answers.py says which texts each kind has. `delay` is in seconds."""

    kind: AnswerKind
    content: str = ""
    media_id: str = ""
    title: str = ""
    description: str = ""
    url: str = ""
    hq_url: str = ""
    pic_url: str = ""
    article_id: str = ""
    app_id: str = ""
    page: str = ""
    thumb_media_id: str = ""
    kf_account: str = ""
    delay: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An account's first rule that fits wins; rules for OTHER come last."""

    id: int
    name: str
    trigger: Trigger
    conditions: Conditions = field(default_factory=Conditions)
    answers: tuple[Answer, ...] = ()
    choice: AnswerChoice = AnswerChoice.ALL
    later: tuple[Answer, ...] = ()
    is_on: bool = True

    def to_json(self) -> dict[str, Any]:
        """Returns the rule in JSON's types, without values that equal the default."""
        return {
            "id": self.id,
            "name": self.name,
            "trigger": _plain(self.trigger),
            "conditions": _plain(self.conditions),
            "answers": [_plain(answer) for answer in self.answers],
            "choice": self.choice.value,
            "later": [_plain(answer) for answer in self.later],
            "is_on": self.is_on,
        }


def _plain(part: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for of in dataclasses.fields(part):
        if not of.init:
            continue
        value = getattr(part, of.name)
        is_default = value == of.default or (
            of.default_factory is not dataclasses.MISSING and value == of.default_factory()
        )
        if is_default and of.default is not dataclasses.MISSING:
            continue
        match value:
            case None | () | frozenset() if not value:
                continue
            case frozenset():
                plain[of.name] = sorted(value)
            case tuple():
                plain[of.name] = list(value)
            case Hours():
                plain[of.name] = {
                    "since": f"{value.since:%H:%M}",
                    "until": f"{value.until:%H:%M}",
                    "is_outside": value.is_outside,
                }
            case datetime.datetime():
                plain[of.name] = value.isoformat(timespec="minutes")
            case enum.StrEnum():
                plain[of.name] = value.value
            case _:
                plain[of.name] = value
    return plain


def rule_from_json(data: Mapping[str, Any]) -> Rule:
    """Reverses `Rule.to_json`. Raises ValueError, TypeError or KeyError."""
    trigger = data["trigger"]
    conditions = data.get("conditions", {})
    hours = conditions.get("hours")
    return Rule(
        id=int(data["id"]),
        name=str(data.get("name", "")),
        trigger=Trigger(
            on=On(trigger["on"]),
            keys=tuple(trigger.get("keys", ())),
            follow=Follow(trigger.get("follow", Follow.ANY)),
            kind=MessageKind(trigger.get("kind", MessageKind.ANY)),
            how=How(trigger.get("how", How.ANY)),
            words=tuple(trigger.get("words", ())),
        ),
        conditions=Conditions(
            weekdays=frozenset(conditions.get("weekdays", ())),
            hours=None if hours is None else _hours(hours),
            since=_moment(conditions.get("since")),
            until=_moment(conditions.get("until")),
            tags=frozenset(conditions.get("tags", ())),
            bound=Bound(conditions.get("bound", Bound.EITHER)),
        ),
        answers=tuple(map(_answer, data.get("answers", ()))),
        choice=AnswerChoice(data.get("choice", AnswerChoice.ALL)),
        later=tuple(map(_answer, data.get("later", ()))),
        is_on=bool(data.get("is_on", True)),
    )


def _answer(data: Mapping[str, Any]) -> Answer:
    return Answer(**{**data, "kind": AnswerKind(data["kind"])})


def _hours(data: Mapping[str, Any]) -> Hours:
    return Hours(
        datetime.time.fromisoformat(data["since"]),
        datetime.time.fromisoformat(data["until"]),
        bool(data.get("is_outside", False)),
    )


def _moment(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)

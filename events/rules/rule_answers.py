"""Makes a rule's answer: the passive reply, and the messages that follow it.

WeChat accepts one passive reply. Further answers go out as customer-service messages (客服消息),
and so do kinds that cannot be a passive reply (published articles, mini program cards).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from events.rules.data import Answer, AnswerChoice, AnswerKind, Rule
from events.rules.decide import Follower, Incoming
from events.wechat import (
    Article,
    ImageReply,
    MusicReply,
    NewsReply,
    Reply,
    TextReply,
    TransferBizAiIvrReply,
    TransferCustomerServiceReply,
    VideoReply,
    VoiceReply,
    split_text,
)
from events.wechat.api.custom_messages import (
    ArticleMessage,
    CustomMessage,
    ImageMessage,
    MiniProgramMessage,
    MusicMessage,
    NewsMessage,
    TextMessage,
    VideoMessage,
    VoiceMessage,
)

__all__ = [
    "FIELDS",
    "VARIABLES",
    "Said",
    "as_message",
    "chosen",
    "needs_follower",
    "needs_messages",
    "said",
]

# The texts of each kind of answer; True marks a required one.
FIELDS: Mapping[AnswerKind, Mapping[str, bool]] = {
    AnswerKind.TEXT: {"content": True},
    AnswerKind.IMAGE: {"media_id": True},
    AnswerKind.VOICE: {"media_id": True},
    AnswerKind.VIDEO: {"media_id": True, "title": False, "description": False},
    AnswerKind.MUSIC: {
        "title": False,
        "description": False,
        "url": True,
        "hq_url": False,
        "thumb_media_id": True,
    },
    AnswerKind.NEWS: {"title": True, "description": False, "url": True, "pic_url": False},
    AnswerKind.ARTICLE: {"article_id": True},
    AnswerKind.MINI_PROGRAM: {
        "title": True,
        "app_id": True,
        "page": True,
        "thumb_media_id": True,
    },
    AnswerKind.AGENT: {"kf_account": False},
    AnswerKind.AI: {},
    AnswerKind.NOTHING: {},
}

# The variables of texts. After the bar stands the text for an empty one: {remark|friend}.
VARIABLES = ("remark", "code", "user", "hours")
_VARIABLE = re.compile(r"\{(remark|code|user|hours)(?:\|([^{}|]*))?\}")
_OF_FOLLOWER = re.compile(r"\{(remark|code|user)(?:\|[^{}|]*)?\}")
_FILLED = ("content", "title", "description")
# Seconds between messages that follow at once, so that they arrive in the right order.
_APART = 1


@dataclass(frozen=True, slots=True)
class Said:
    """The passive reply or None, and messages, each with the seconds to wait before it."""

    reply: Reply | None
    messages: tuple[tuple[int, CustomMessage], ...] = ()


def chosen(rule: Rule, seed: str) -> tuple[Answer, ...]:
    """Returns the answers for an event: all, or one; the same for the same seed."""
    if rule.choice is AnswerChoice.ALL or len(rule.answers) < 2:
        return rule.answers
    digest = hashlib.blake2b(f"{rule.id} {seed}".encode(), digest_size=8).digest()
    return (rule.answers[int.from_bytes(digest) % len(rule.answers)],)


def needs_follower(rule: Rule) -> bool:
    """Whether a text of the rule contains a variable about the follower."""
    return any(
        _OF_FOLLOWER.search(getattr(answer, name))
        for answer in (*rule.answers, *rule.later)
        for name in _FILLED
    )


def needs_messages(rule: Rule) -> bool:
    """Whether the rule may send messages besides a passive reply."""
    if rule.later or (rule.choice is AnswerChoice.ALL and len(rule.answers) > 1):
        return True
    return any(answer.kind in _MESSAGES_ALONE for answer in rule.answers)


_MESSAGES_ALONE = frozenset({AnswerKind.ARTICLE, AnswerKind.MINI_PROGRAM})


def said(rule: Rule, incoming: Incoming, follower: Follower | None) -> Said:
    """Returns all that the winning rule sends; `follower` is None if it is unknown."""
    follower = follower or Follower()
    reply: Reply | None = None
    messages: list[tuple[int, CustomMessage]] = []
    values = {
        "remark": follower.remark,
        "code": follower.code,
        "user": follower.user,
        "hours": str(rule.conditions.hours or ""),
    }
    for number, answer in enumerate(chosen(rule, incoming.seed)):
        filled = _filled(answer, values)
        passive = _reply(filled) if number == 0 else None
        if passive is not None:
            reply = passive
        else:
            messages += [(number * _APART, message) for message in _messages(filled)]
    for answer in rule.later:
        messages += [(answer.delay, message) for message in _messages(_filled(answer, values))]
    return Said(reply, tuple(sorted(messages, key=lambda message: message[0])))


def _filled(answer: Answer, values: Mapping[str, str]) -> dict[str, str]:
    texts = {name: getattr(answer, name) for name in FIELDS[answer.kind]}
    for name in _FILLED:
        if name in texts:
            texts[name] = _VARIABLE.sub(
                lambda found: values[found[1]] or found[2] or "", texts[name]
            )
    return {"kind": answer.kind.value, **texts}


def _reply(of: Mapping[str, str]) -> Reply | None:
    """Makes the passive reply; None if the kind has none, or the text is blank."""
    match of["kind"]:
        case AnswerKind.TEXT:
            return TextReply(of["content"]) if split_text(of["content"]) else None
        case AnswerKind.IMAGE:
            return ImageReply(of["media_id"])
        case AnswerKind.VOICE:
            return VoiceReply(of["media_id"])
        case AnswerKind.VIDEO:
            return VideoReply(of["media_id"], of["title"], of["description"])
        case AnswerKind.MUSIC:
            return MusicReply(
                of["thumb_media_id"], of["title"], of["description"], of["url"], of["hq_url"]
            )
        case AnswerKind.NEWS:
            return NewsReply((Article(of["title"], of["description"], of["pic_url"], of["url"]),))
        case AnswerKind.AGENT:
            return TransferCustomerServiceReply(of["kf_account"])
        case AnswerKind.AI:
            return TransferBizAiIvrReply()
        case _:
            return None


def as_message(reply: ImageReply | VoiceReply | VideoReply | MusicReply) -> CustomMessage:
    """Makes a customer-service message with the content of a passive reply."""
    match reply:
        case ImageReply(media_id):
            return ImageMessage(media_id)
        case VoiceReply(media_id):
            return VoiceMessage(media_id)
        case VideoReply(media_id, title, description):
            return VideoMessage(media_id, "", title, description)
        case MusicReply(thumb_media_id, title, description, url, hq_url):
            return MusicMessage(thumb_media_id, title, description, url, hq_url)


def _messages(of: Mapping[str, str]) -> list[CustomMessage]:
    """Makes an answer's messages; none for kinds that hand over, which no message can do."""
    match of["kind"]:
        case AnswerKind.TEXT:
            return [TextMessage(part) for part in split_text(of["content"])]
        case AnswerKind.IMAGE:
            return [ImageMessage(of["media_id"])]
        case AnswerKind.VOICE:
            return [VoiceMessage(of["media_id"])]
        case AnswerKind.VIDEO:
            return [VideoMessage(of["media_id"], "", of["title"], of["description"])]
        case AnswerKind.MUSIC:
            return [
                MusicMessage(
                    of["thumb_media_id"], of["title"], of["description"], of["url"], of["hq_url"]
                )
            ]
        case AnswerKind.NEWS:
            return [NewsMessage(Article(of["title"], of["description"], of["pic_url"], of["url"]))]
        case AnswerKind.ARTICLE:
            return [ArticleMessage(of["article_id"])]
        case AnswerKind.MINI_PROGRAM:
            return [MiniProgramMessage(of["title"], of["app_id"], of["page"], of["thumb_media_id"])]
        case _:
            return []

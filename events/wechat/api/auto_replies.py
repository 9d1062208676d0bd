"""Reads the replies that operators set in WeChat's console (自动回复).

WeChat stops sending them as soon as the account's server is switched on, so a site takes them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .transport.answer_fields import mapping, mappings, number, text
from .transport.calls import Calls

__all__ = ["AutoReplies", "ConsoleReplies", "ConsoleReply", "KeywordRule"]


@dataclass(frozen=True, slots=True)
class ConsoleReply:
    """One reply: `content` is a text, a media id (img, voice) or an address (video).

    A `news` reply has the first of its articles instead.
    """

    type: str
    content: str = ""
    title: str = ""
    digest: str = ""
    cover_url: str = ""
    content_url: str = ""


@dataclass(frozen=True, slots=True)
class KeywordRule:
    """Replies to texts that contain a keyword in `contained`, or equal one in `equal`."""

    name: str
    contained: tuple[str, ...]
    equal: tuple[str, ...]
    replies: tuple[ConsoleReply, ...]
    is_one_at_random: bool


@dataclass(frozen=True, slots=True)
class ConsoleReplies:
    """All replies of the console; None where a reply is not set or is switched off."""

    follow: ConsoleReply | None
    default: ConsoleReply | None
    keywords: tuple[KeywordRule, ...]


class AutoReplies:
    """The call that reads the console's replies."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def current(self) -> ConsoleReplies:
        """Returns the replies that are set now; the media ids in them are temporary."""
        answer = self._calls.get("/cgi-bin/get_current_autoreply_info")
        is_open = number(answer, "is_autoreply_open") == 1
        follows = number(answer, "is_add_friend_reply_open") == 1
        listed = mappings(mapping(answer, "keyword_autoreply_info"), "list")
        return ConsoleReplies(
            follow=_reply(mapping(answer, "add_friend_autoreply_info")) if follows else None,
            default=_reply(mapping(answer, "message_default_autoreply_info")) if is_open else None,
            keywords=tuple(_rule(fields) for fields in listed) if is_open else (),
        )


def _rule(fields: Mapping[str, Any]) -> KeywordRule:
    keywords = mappings(fields, "keyword_list_info")
    replies = (_reply(reply) for reply in mappings(fields, "reply_list_info"))

    def words(mode: str) -> tuple[str, ...]:
        return tuple(text(word, "content") for word in keywords if text(word, "match_mode") == mode)

    return KeywordRule(
        name=text(fields, "rule_name"),
        contained=words("contain"),
        equal=words("equal"),
        replies=tuple(reply for reply in replies if reply is not None),
        is_one_at_random=text(fields, "reply_mode") == "random_one",
    )


def _reply(fields: Mapping[str, Any]) -> ConsoleReply | None:
    kind = text(fields, "type")
    if not kind:
        return None
    articles = mappings(mapping(fields, "news_info"), "list")
    first: Mapping[str, Any] = articles[0] if articles else {}
    return ConsoleReply(
        kind,
        text(fields, "content"),
        text(first, "title"),
        text(first, "digest"),
        text(first, "cover_url"),
        text(first, "content_url"),
    )

"""Asks a follower before a sign-in, and before a binding if the account wants that.

An attacker may lure somebody into scanning a code. So a scan, or a code that the follower sends,
only shows the user's name to the follower, and nothing is bound until the follower agrees. A scan
spends the code: nobody else can use it, and the request waits for this follower alone.
"""

from __future__ import annotations

import datetime
import re
from urllib.parse import quote

from events.models import EventLog
from subscribers.binding.codes import text_of
from subscribers.models import BindingRequest, Subscriber

__all__ = [
    "LIFETIME",
    "answer_in",
    "answer_to_sign_in",
    "ask",
    "asked_request",
    "is_answer",
    "sign_in_tapped",
    "taps",
    "taps_of_sign_in",
]

# How long a code is valid. After a scan, the follower has as long again to answer the question.
LIFETIME = datetime.timedelta(minutes=10)
# Characters of a text that may be an answer.
_LONGEST = 20
_YES = frozenset({"确认", "yes"})
_NO = frozenset({"拒绝", "取消", "decline", "no"})
_BIND = _YES | {"绑定", "确认绑定", "bind"}
_DO_NOT_BIND = _NO | {"不绑定"}
_SIGN_IN = _YES | {"登录", "确认登录", "sign in"}
_DO_NOT_SIGN_IN = _NO | {"不登录"}
# A tap carries the number of its question: for a binding the request's id, for a sign-in the
# sign-in's id plus this number.
_SIGN_IN_OFFSET = 10**15


def answer_in(event: EventLog) -> bool | None:
    """Whether this text message agrees to a binding; None if it says neither yes nor no."""
    word = _word(event)
    return True if word in _BIND else False if word in _DO_NOT_BIND else None


def answer_to_sign_in(event: EventLog) -> bool | None:
    """Whether this text message allows a sign-in; None when it says neither yes nor no."""
    word = _word(event)
    return True if word in _SIGN_IN else False if word in _DO_NOT_SIGN_IN else None


def is_answer(event: EventLog) -> bool:
    """Whether this text message may answer a question of either kind."""
    return answer_in(event) is not None or answer_to_sign_in(event) is not None


def _word(event: EventLog) -> str:
    text = text_of(event)
    if event.kind != "text" or len(text) > _LONGEST:
        return ""
    return text.strip(" \u3000。.!！").casefold()


def ask(request: BindingRequest, subscriber: Subscriber, event: EventLog) -> None:
    """Notes that the follower was asked, wipes the code, and gives the follower time to answer.

    Both rows must be locked. An earlier question to this follower ends: one is open at a time.
    """
    others = BindingRequest.objects.filter(asked=subscriber).exclude(pk=request.pk)
    others.end(refused_reason="withdrawn")
    BindingRequest.objects.filter(pk=request.pk).open().spend(
        asked=subscriber, asked_at=event.event_time, expires_at=event.received_at + LIFETIME
    )


def asked_request(subscriber: Subscriber, event: EventLog) -> BindingRequest | None:
    """The request that this message may answer, locked; None when the follower was asked nothing.

    The request may have ended meanwhile. A message older than the question answers nothing. A tap
    names its question, so a tap on an older question does not answer a newer one.
    """
    tapped = _tapped(event)
    if tapped and not re.fullmatch(r"[0-9]{1,15}", tapped):
        return None
    questions = BindingRequest.objects.filter(pk=int(tapped)) if tapped else BindingRequest.objects
    return (
        questions.select_for_update(of=("self",))
        .select_related("user")
        .filter(
            asked=subscriber,
            asked_at__lte=event.event_time,
            asked_at__gt=event.event_time - LIFETIME,
            completed_at=None,
        )
        .exclude(refused_reason="declined")
        .order_by("-asked_at", "-pk")
        .first()
    )


def sign_in_tapped(event: EventLog) -> int | None:
    """The id of the sign-in whose question was tapped; 0 for another tap, None if it is no tap."""
    tapped = _tapped(event)
    if not tapped:
        return None
    number = int(tapped) if re.fullmatch(r"[0-9]{16,18}", tapped) else 0
    return max(0, number - _SIGN_IN_OFFSET)


def _tapped(event: EventLog) -> str:
    return str((event.payload or {}).get("bizmsgmenuid") or "")


def taps(question_id: int, language: str) -> str:
    """Two lines for the follower to tap; WeChat sends a tap as a text with the question's id."""
    return _taps(question_id, ("绑定", "不绑定") if _is_chinese(language) else ("bind", "decline"))


def taps_of_sign_in(sign_in_id: int, language: str) -> str:
    """Two lines for the follower to tap, for a question about a sign-in."""
    words = ("登录", "不登录") if _is_chinese(language) else ("sign in", "decline")
    return _taps(_SIGN_IN_OFFSET + sign_in_id, words)


def _taps(menu_id: int, words: tuple[str, str]) -> str:
    return "\n".join(
        f'<a href="weixin://bizmsgmenu?msgmenucontent={quote(word)}&msgmenuid={menu_id}">{word}</a>'
        for word in words
    )


def _is_chinese(language: str) -> bool:
    return language.lower().startswith("zh")

"""Checks that WeChat would accept an answer (回复消息): an acknowledgement or a passive reply."""

from __future__ import annotations

from events.wechat import ACKNOWLEDGEMENT, Credentials, NotAuthentic, SecurityMode, Unreadable
from events.wechat.sender import open_reply
from events.wechat.xml import parse

from .pushes import Push

__all__ = ["IllegalAnswer", "check_answer"]

_ACKNOWLEDGEMENTS = (b"", ACKNOWLEDGEMENT.encode())
_TEXT_LIMIT = 2048
_CONTENT = {
    "text": "Content",
    "image": "Image",
    "voice": "Voice",
    "video": "Video",
    "music": "Music",
    "news": "Articles",
    "transfer_customer_service": "",
    "transfer_biz_ai_ivr": "",
}


class IllegalAnswer(Exception):
    """WeChat would count this answer as illegal (回应失败); the message says why."""


def check_answer(body: bytes, push: Push, *, credentials: Credentials, original_id: str) -> bool:
    """Return whether the body of a 200 answer is a reply; false if it only acknowledges `push`.

    Raises `IllegalAnswer` for every other body. A sealed reply must be sealed with the current
    secrets, which signed the push. Compatible mode accepts plain replies too.
    """
    if body in _ACKNOWLEDGEMENTS:
        return False
    is_sealed = b"<Encrypt>" in body
    if is_sealed and credentials.mode is SecurityMode.PLAINTEXT:
        raise IllegalAnswer("a sealed reply in plaintext mode")
    if not is_sealed and credentials.mode is SecurityMode.SAFE:
        raise IllegalAnswer(f"neither an acknowledgement nor sealed: {body[:80]!r}")
    try:
        reply = parse(open_reply(body, credentials=credentials) if is_sealed else body)
    except (NotAuthentic, Unreadable) as error:
        raise IllegalAnswer(f"{error}: {body[:80]!r}") from error
    if reply.get("ToUserName") != push.openid or reply.get("FromUserName") != original_id:
        raise IllegalAnswer("the names of the reply are not those of the push, exchanged")
    create_time = reply.get("CreateTime")
    if not (isinstance(create_time, str) and create_time.isascii() and create_time.isdigit()):
        raise IllegalAnswer(f"CreateTime is {create_time!r}")
    msg_type = reply.get("MsgType")
    if not isinstance(msg_type, str) or msg_type not in _CONTENT:
        raise IllegalAnswer(f"MsgType is {msg_type!r}")
    content_name = _CONTENT[msg_type]
    content = reply.get(content_name)
    if content_name and not content:
        raise IllegalAnswer(f"a reply of type {msg_type} without {content_name}")
    if isinstance(content, str) and len(content.encode()) > _TEXT_LIMIT:
        raise IllegalAnswer(f"a text of more than {_TEXT_LIMIT} bytes")
    return True

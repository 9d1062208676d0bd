"""Customer-service messages (客服消息)."""

from __future__ import annotations

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields, object_in
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["MESSAGES"]

_TEXT_LIMIT = 2048
_MESSAGE_TYPES = frozenset(
    {
        "text", "image", "voice", "video", "music", "news", "mpnews", "mpnewsarticle", "msgmenu",
        "miniprogrampage", "wxcard",
    }
)  # fmt: skip


def _send(account: FakeAccount, call: ApiCall) -> Fields:
    msg_type = call.body.get("msgtype")
    if msg_type not in _MESSAGE_TYPES:
        raise Refusal(40035)
    content = object_in(call.body, msg_type)
    if msg_type == "text":
        text = content.get("content")
        if not isinstance(text, str) or not text:
            raise Refusal(44002)
        if len(text.encode()) > _TEXT_LIMIT:
            raise Refusal(45002)
    elif msg_type == "news" and len(content.get("articles", [])) != 1:
        raise Refusal(45008)
    elif msg_type in {"image", "voice", "video", "mpnews"} and not content.get("media_id"):
        raise Refusal(40007)
    account.send(_recipient(account, call), call.body)
    return OK


def _recipient(account: FakeAccount, call: ApiCall) -> str:
    openid = call.body.get("touser")
    person = account.followers.find(openid) if isinstance(openid, str) else None
    if person is None:
        raise Refusal(40003)
    if not person.is_following:
        raise Refusal(45015)
    return person.openid


MESSAGES: dict[str, Api] = {
    "/cgi-bin/message/custom/send": Api("POST", _send, needs_certification=True),
}

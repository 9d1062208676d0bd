"""Makes WeChat's pushes: the XML, and its main fields as attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from events.wechat.xml import Content, element

__all__ = ["Push", "event_push", "message_push"]

Fields: TypeAlias = Mapping[str, Content]


@dataclass(slots=True, eq=False)
class Push:
    """One message or event, which may be delivered several times.

    `create_time` is in Unix seconds. `body` is the plain XML. A follower of the simulator does at
    most one thing per second, so openid and create_time together identify a push. The first legal
    answer to any of its deliveries sets `acknowledged`.
    """

    openid: str
    create_time: int
    msg_type: str
    event: str = ""
    event_key: str = ""
    msg_id: str = ""
    body: bytes = field(default=b"", repr=False)
    acknowledged: bool = False

    @property
    def kind(self) -> str:
        return f"event.{self.event.lower()}" if self.event else self.msg_type


def message_push(
    original_id: str, openid: str, create_time: int, msg_type: str, msg_id: int, fields: Fields
) -> Push:
    """Makes a message (普通消息) from the follower `openid` to the account `original_id`."""
    push = Push(openid, create_time, msg_type, msg_id=str(msg_id))
    push.body = _body(original_id, push, {**fields, "MsgId": msg_id})
    return push


def event_push(
    original_id: str,
    openid: str,
    create_time: int,
    event: str,
    event_key: str | None = "",
    fields: Fields | None = None,
) -> Push:
    """Makes an event (事件推送); None for `event_key` leaves the element out."""
    push = Push(openid, create_time, "event", event, event_key or "")
    key: Fields = {} if event_key is None else {"EventKey": event_key}
    push.body = _body(original_id, push, {"Event": event, **key, **(fields or {})})
    return push


def _body(original_id: str, push: Push, fields: Fields) -> bytes:
    common: Fields = {
        "ToUserName": original_id,
        "FromUserName": push.openid,
        "CreateTime": push.create_time,
        "MsgType": push.msg_type,
    }
    elements = "".join(element(name, value) for name, value in {**common, **fields}.items())
    return f"<xml>{elements}</xml>".encode()

"""A pushed message or event: the fields that all of them have, and what they determine.

Names are WeChat's, in snake case. This module has no list of events: an unknown event is a
`Message` like any other, with all its fields in `fields`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import Unreadable
from .mending import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .xml import Value

__all__ = [
    "EVENT_TYPES",
    "SCENE_PREFIX",
    "Message",
    "kind_of",
    "parse_message",
    "unreadable_key",
]

# MsgTypes that carry an Event; device_event is 微信硬件.
EVENT_TYPES = ("event", "device_event")

_FOLLOW_OR_SCAN = frozenset({"event.subscribe", "event.unsubscribe", "event.scan"})

# The EventKey of a follow by QR code begins with this.
SCENE_PREFIX = "qrscene_"

_KIND_LENGTH = 64

# An OpenID has 28 characters today. A longer name than this is taken for an error.
_USER_NAME_LENGTH = 64
_INTACT_NAME = re.compile(r"[!-;=?-~]+")  # printable ASCII without the marks of a field

# 9999-12-30T23:59:59Z: the last second of datetime, less the day that a time zone may add.
_LAST_SECOND = 253_402_214_399


@dataclass(frozen=True, slots=True)
class Message:
    """One message or event as WeChat pushed it; the text of an absent field is "".

    Dispatch on `kind`: `text`, `event.subscribe`, …; 1 to 64 characters of `[a-z0-9_.]`.
    `create_time` is in Unix seconds. `msg_id` is the id of a message or, in an event, of the
    sending job that it reports on (`MsgID`): a 64-bit number, kept as text. `is_mended` says that a
    field was broken and was read as well as possible (`mending`).
    """

    fields: Mapping[str, Value] = field(repr=False, hash=False)
    to_user_name: str
    from_user_name: str
    create_time: int
    msg_type: str
    event: str = ""
    event_key: str = ""
    ticket: str = ""
    msg_id: str = ""
    is_mended: bool = field(default=False, compare=False)
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", kind_of(self.msg_type, self.event))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Value], *, is_mended: bool = False) -> Message:
        """Return the message in a parsed body; the `Encrypt` of compatible mode is left out.

        Raises `Unreadable` in three cases: MsgType or FromUserName is missing; FromUserName has
        more than 64 characters or is itself the broken field; CreateTime is not a number of seconds
        from 1 up to 9999-12-30T23:59:59Z.
        """
        fields = {name: value for name, value in fields.items() if name != "Encrypt"}
        create_time = _text(fields, "CreateTime")
        if not re.fullmatch(r"[0-9]{1,12}", create_time):
            raise Unreadable("CreateTime is missing or not a number")
        if not 0 < int(create_time) <= _LAST_SECOND:
            raise Unreadable("CreateTime is outside the calendar")
        from_user_name = _text(fields, "FromUserName")
        if not 0 < len(from_user_name) <= _USER_NAME_LENGTH:
            raise Unreadable("FromUserName is missing or too long")
        if is_mended and not _INTACT_NAME.fullmatch(from_user_name):
            raise Unreadable("FromUserName is broken")
        msg_type = _text(fields, "MsgType")
        if not msg_type:
            raise Unreadable("MsgType is missing")
        return cls(
            fields=fields,
            to_user_name=_text(fields, "ToUserName"),
            from_user_name=from_user_name,
            create_time=int(create_time),
            msg_type=msg_type,
            event=_text(fields, "Event"),
            event_key=_text(fields, "EventKey"),
            ticket=_text(fields, "Ticket"),
            msg_id=_text(fields, "MsgId", "MsgID"),
            is_mended=is_mended,
        )

    @property
    def named_openid(self) -> str:
        """The field OpenID, which WeChat spells in three ways; "" if it is absent or too long."""
        openid = _text(self.fields, "OpenID", "openid", "OpenId")
        return openid if len(openid) <= _USER_NAME_LENGTH else ""

    @property
    def dedup_key(self) -> str:
        """32 hexadecimal digits: equal for all deliveries of one push, different for other pushes.

        WeChat advises MsgId for messages, and FromUserName with CreateTime for events
        (接收普通消息, 接收事件推送: 排重). The key also contains the account, because MsgId is only
        known to be unique within one. For follows and scans it contains the scene and the ticket,
        for other events the whole content, because a follower can cause several within a second. It
        contains neither ciphertext nor query string, which differ between deliveries.
        """
        account_and_sender = [self.to_user_name, self.from_user_name, str(self.create_time)]
        if self.kind in _FOLLOW_OR_SCAN:
            return _digest([*account_and_sender, self.kind, self.event_key, self.ticket])
        if self.msg_id and self.msg_type.lower() not in EVENT_TYPES:
            return _digest([*account_and_sender, self.msg_id])
        return _digest([self.to_user_name, dict(self.fields)])


@functools.lru_cache(maxsize=256)
def kind_of(msg_type: str, event: str = "") -> str:
    """Return the kind of a message with this MsgType and this Event; see `Message`.

    Real traffic varies the case of event names. Both names together keep the event LOCATION (a
    position report) apart from the message location. A dot in a name becomes `_`, so that no
    message type looks like an event.
    """
    names = [msg_type.lower()]
    if names[0] in EVENT_TYPES and event:
        names.append(event.lower())
    return ".".join(re.sub(r"[^a-z0-9_]", "_", name) for name in names)[:_KIND_LENGTH]


def parse_message(body: bytes) -> Message:
    """Return the message in a plain (decrypted) body; raise `Unreadable` if there is none."""
    reading = read(body)
    return Message.from_fields(reading.fields, is_mended=reading.is_mended)


def unreadable_key(body: bytes) -> str:
    """Return the dedup key of a body that `parse_message` refused: 32 hexadecimal digits."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


# JSON separates the parts whatever they contain. Any change here makes a repeated push, and an
# import that runs again, look new.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _digest(parts: list[Value]) -> str:
    return hashlib.blake2b(_canonical(parts).encode(), digest_size=16).hexdigest()


def _text(fields: Mapping[str, Value], *names: str) -> str:
    """Return the first non-empty text under any of `names` (spellings of one field), or "".

    A single element may come twice, and a text element may have children; then the first text
    counts.
    """
    for name in names:
        value = fields.get(name, "")
        for candidate in value if isinstance(value, list) else [value]:
            if isinstance(candidate, str) and candidate.strip():
                return candidate.strip()
    return ""

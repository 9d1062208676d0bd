"""Sends customer-service messages (客服消息) by a function that another app registers.

The app that owns followers and their windows registers it. So projections and reply handlers of
every app can call send_message() without importing that app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from events.wechat.api.custom_messages import CustomMessage

__all__ = ["Addressee", "MessageSender", "NotDeliverable", "message_sender", "send_message"]


class NotDeliverable(Exception):
    """WeChat would not deliver a message to this follower now.

    `reason` is a code for programs: inactive, not_following, window_closed or window_used_up. The
    text of the exception is for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Addressee(Protocol):
    """Names a follower: an EventLog row, or any object of yours with these two attributes."""

    @property
    def account_id(self) -> int: ...

    @property
    def openid(self) -> str: ...


class MessageSender(Protocol):
    def __call__(self, to: Addressee, message: CustomMessage, /, *, after: float) -> object: ...


_S = TypeVar("_S", bound=MessageSender)

_senders: list[MessageSender] = []


def message_sender(function: _S) -> _S:
    """Registers the function behind send_message(). Raises ValueError if there is one already."""
    if _senders:
        raise ValueError("A function that sends customer-service messages is registered already.")
    _senders.append(function)
    return function


def send_message(to: Addressee, message: CustomMessage, *, after: float = 0) -> None:
    """Queues a message to a follower; if `to` is an EventLog row, the message answers that event.

    The worker sends it `after` seconds later, if the follower's window is still open then.

    The message belongs to the caller's transaction: if that is rolled back, nothing is sent. Raises
    NotDeliverable, and queues nothing, if WeChat would not deliver it now; LookupError if no
    installed app sends messages.
    """
    if not _senders:
        raise LookupError("No installed app sends customer-service messages.")
    _senders[0](to, message, after=after)

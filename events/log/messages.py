"""The slot for the function that sends customer-service messages (客服消息).

The app that owns followers and their windows fills it; projections and reply handlers of every app
call send_message() without importing that app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from events.wechat.api.custom_messages import CustomMessage

__all__ = ["Addressee", "MessageSender", "NotDeliverable", "message_sender", "send_message"]


class NotDeliverable(Exception):
    """WeChat would not deliver a message to this follower now.

    `reason` is a word for programs (inactive, not_following, window_closed, window_used_up); the
    text of the exception is for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Addressee(Protocol):
    """Names a follower: an EventLog row does, and so does a row of your own with these two."""

    @property
    def account_id(self) -> int: ...

    @property
    def openid(self) -> str: ...


class MessageSender(Protocol):
    def __call__(self, to: Addressee, message: CustomMessage, /, *, after: float) -> object: ...


_S = TypeVar("_S", bound=MessageSender)

_senders: list[MessageSender] = []


def message_sender(function: _S) -> _S:
    """Registers the function behind send_message(). Raises ValueError when there is one."""
    if _senders:
        raise ValueError("Customer-service messages have a sender already.")
    _senders.append(function)
    return function


def send_message(to: Addressee, message: CustomMessage, *, after: float = 0) -> None:
    """Queues a message to a follower; if `to` is an EventLog row, it answers that event.

    It is sent after so many seconds, if the follower's window is open then too.

    The message takes part in the caller's transaction: rolled back, nothing is sent. Raises
    NotDeliverable, and queues nothing, when WeChat would not deliver it now; LookupError when no
    installed app sends messages.
    """
    if not _senders:
        raise LookupError("No installed app sends customer-service messages.")
    _senders[0](to, message, after=after)

"""The windows in which followers can get customer-service messages (客服消息下发时限)."""

from __future__ import annotations

from dataclasses import dataclass

from events.simulator.pushes import Push

from .call_answers import Refusal

__all__ = ["Windows"]

# How many customer-service messages an act allows, and for how many seconds.
_WINDOWS = {"message": (5, 48 * 3600), "touch": (3, 60)}
_TOUCHES = frozenset(
    {
        "event.subscribe",
        "event.scan",
        "event.click",
        "event.scancode_push",
        "event.scancode_waitmsg",
    }
)


@dataclass(slots=True)
class _Window:
    remaining: int
    until: float


class Windows:
    """The windows of one account's followers; `now` is in Unix seconds."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], _Window] = {}

    def note(self, push: Push) -> None:
        """Opens and closes windows after a follower's act."""
        if not push.event:
            self._open("message", push)
        elif push.kind in _TOUCHES:
            self._open("touch", push)
        if push.kind == "event.unsubscribe":
            for name in _WINDOWS:
                self._windows.pop((push.openid, name), None)

    def has(self, openid: str, now: float) -> bool:
        """Whether this follower has an open window now, even one that is used up."""
        return bool(self._open_ones(openid, now))

    def use(self, openid: str, now: float) -> None:
        """Counts one message. Raises `Refusal` if no window is open, or if all are used up.

        Windows do not add up: a message counts in all open windows.
        """
        windows = self._open_ones(openid, now)
        if not windows:
            raise Refusal(45015)
        if not any(window.remaining for window in windows):
            raise Refusal(45047)
        for window in windows:
            window.remaining = max(0, window.remaining - 1)

    def _open(self, name: str, push: Push) -> None:
        allowed, seconds = _WINDOWS[name]
        self._windows[push.openid, name] = _Window(allowed, push.create_time + seconds)

    def _open_ones(self, openid: str, now: float) -> list[_Window]:
        return [
            window
            for name in _WINDOWS
            if (window := self._windows.get((openid, name))) is not None and now < window.until
        ]

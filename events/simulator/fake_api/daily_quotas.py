"""Daily and per-minute limits of each API (接口调用频次限制)."""

from __future__ import annotations

import datetime
from collections import Counter, deque

from events.wechat.beijing_time import beijing_day

from .call_answers import Refusal

__all__ = ["DAILY_LIMITS", "Quotas"]

# The limits of a verified service account with few followers. WeChat raises some of them for more
# followers.
DAILY_LIMITS = {
    "/cgi-bin/token": 2000,
    "/cgi-bin/stable_token": 500_000,
    "/cgi-bin/menu/create": 1000,
    "/cgi-bin/menu/get": 10_000,
    "/cgi-bin/message/custom/send": 500_000,
    "/cgi-bin/qrcode/create": 100_000,
    "/cgi-bin/user/get": 500,
    "/cgi-bin/user/info/batchget": 500_000,
}
_OTHERS = 100_000


class Quotas:
    """One account's counts. Times are in Unix seconds; a day begins at 00:00 in Beijing."""

    def __init__(self) -> None:
        self.daily = dict(DAILY_LIMITS)
        self.per_minute: dict[str, int] = {}
        self._day: datetime.date | None = None
        self._used: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {}

    def count(self, path: str, now: float) -> None:
        """Counts a call. Raises `Refusal` if it exceeds a limit."""
        if self.used(path, now) >= self.limit(path):
            raise Refusal(45009)
        if path in self.per_minute:
            recent = self._recent.setdefault(path, deque())
            while recent and recent[0] <= now - 60:
                recent.popleft()
            if len(recent) >= self.per_minute[path]:
                raise Refusal(45011)
            recent.append(now)
        self._used[path] += 1

    def used(self, path: str, now: float) -> int:
        """Returns the number of today's calls."""
        day = beijing_day(now)
        if day != self._day:
            self._day = day
            self._used.clear()
        return self._used[path]

    def limit(self, path: str) -> int:
        """Returns how many calls a day are allowed."""
        return self.daily.get(path, _OTHERS)

    def exhaust(self, path: str, now: float) -> None:
        """Uses up the rest of today's calls."""
        self._used[path] = max(self.used(path, now), self.limit(path))

"""Issues access tokens (获取接口调用凭据); its two calls do not affect each other's tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .call_answers import Refusal

__all__ = ["TokenLines"]

_FORCED_PER_DAY = 20
_FORCED_APART = 30
_DAY = 24 * 3600


@dataclass(slots=True)
class _Token:
    """A token. `works_until` is in Unix seconds; after that a call gets `errcode`."""

    works_until: float
    errcode: int = 42001


class TokenLines:
    """One account's tokens. `lifetime` and `overlap` are in seconds; `make` returns new values."""

    def __init__(self, *, make: Callable[[], str], lifetime: int, overlap: int) -> None:
        self._make = make
        self.lifetime = lifetime
        self._overlap = overlap
        self._tokens: dict[str, _Token] = {}
        self._latest = ""
        self._stable = ""
        self._forced: list[float] = []

    def issue(self, now: float) -> tuple[str, int]:
        """/cgi-bin/token: returns a new token each time; the former works only for the overlap."""
        self._supersede(self._latest, now + self._overlap)
        self._latest = self._new(now)
        return self._latest, self.lifetime

    def stable(self, now: float, *, force: bool) -> tuple[str, int]:
        """stable_token: returns the same token until only the overlap of its life is left.

        A forced refresh ends the former token at once. 20 a day are possible; one within 30 seconds
        of the last has no effect.
        """
        current = self._tokens.get(self._stable)
        left = current.works_until - now if current else 0.0
        if force and not (self._forced and now - self._forced[-1] < _FORCED_APART):
            self._forced = [at for at in self._forced if at > now - _DAY]
            if len(self._forced) >= _FORCED_PER_DAY:
                raise Refusal(45009)
            self._forced.append(now)
            self._supersede(self._stable, now)
            left = 0.0
        if left <= self._overlap:
            # The former works until its own end, which is within the overlap.
            self._stable = self._new(now)
            left = self.lifetime
        return self._stable, int(left)

    def has_issued(self, value: str) -> bool:
        """Whether the value is, or was lately, a token of this account."""
        return value in self._tokens

    def check(self, value: str, now: float) -> None:
        """Raises `Refusal` if this token, which must be the account's, no longer works."""
        token = self._tokens[value]
        if now >= token.works_until:
            raise Refusal(token.errcode)

    def end_all(self, now: float, errcode: int) -> None:
        """Ends every token; calls with one get `errcode` from now on."""
        for token in self._tokens.values():
            token.works_until, token.errcode = now, errcode

    def _new(self, now: float) -> str:
        # Forget tokens that ended a day ago: WeChat answers them as unknown.
        self._tokens = {
            value: token for value, token in self._tokens.items() if token.works_until > now - _DAY
        }
        value = self._make()
        self._tokens[value] = _Token(now + self.lifetime)
        return value

    def _supersede(self, value: str, works_until: float) -> None:
        token = self._tokens.get(value)
        if token is not None and token.works_until > works_until:
            token.works_until, token.errcode = works_until, 40001

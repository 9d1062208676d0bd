"""Access tokens: how one is asked for, and who keeps it.

Only `stable_token` is used (获取稳定版接口调用凭据): asked again within the validity it returns the
same token, so that two processes asking do not break each other's calls, as they would with
`/cgi-bin/token`. WeChat renews it five minutes before its end, and for these five minutes
the old one and the new one both work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .answer_fields import number, text
from .api_errors import BadAnswer, CredentialsRejected, TokenRejected
from .http import Wire

__all__ = [
    "REFRESH_AHEAD",
    "AccessToken",
    "AppCredentials",
    "MemoryTokens",
    "TokenSource",
    "fetch_stable_token",
]

_PATH = "/cgi-bin/stable_token"

# Seconds before its end at which a token is replaced. More than WeChat's five minutes would
# only bring the same token again.
REFRESH_AHEAD = 240


@dataclass(frozen=True, slots=True)
class AppCredentials:
    """An account's AppID and AppSecret."""

    app_id: str
    app_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and the time it was fetched and ends, in Unix seconds by our clock."""

    value: str = field(repr=False)
    fetched_at: float
    expires_at: float

    @property
    def refresh_at(self) -> float:
        """When to replace it. `expires_in` may be short: then half of it is used."""
        return self.expires_at - min(REFRESH_AHEAD, (self.expires_at - self.fetched_at) / 2)


class TokenSource(Protocol):
    """Who keeps an account's token. Both methods raise `APIError` where there is none."""

    def get(self) -> AccessToken:
        """A token to call with."""

    def refresh(self, rejected: AccessToken) -> AccessToken:
        """The token to try instead of one that a call was rejected with.

        The same again means that there is no other: the call must not be repeated.
        """


def fetch_stable_token(
    wire: Wire, credentials: AppCredentials, *, now: Callable[[], float] = time.time
) -> AccessToken:
    """Ask WeChat for the account's token, in normal mode.

    `now` gives Unix seconds. Raises `CredentialsRejected`, `AddressNotAllowed`, and what
    `Wire.call` raises else.
    """
    # The life of the token is counted from before the call: too short rather than too long.
    asked_at = now()
    try:
        answer = wire.call(
            "POST",
            _PATH,
            body={
                "grant_type": "client_credential",
                "appid": credentials.app_id,
                "secret": credentials.app_secret,
                "force_refresh": False,
            },
            secrets=(credentials.app_secret,),
        )
    except TokenRejected as error:
        # Here there is no token to be invalid: 40001 means the AppSecret.
        raise CredentialsRejected(_PATH, error.errcode, _with_rid(error)) from None
    value, expires_in = text(answer, "access_token"), number(answer, "expires_in")
    if not value or expires_in <= 0:
        raise BadAnswer(_PATH, "no token in the answer")
    return AccessToken(value, asked_at, asked_at + expires_in)


class MemoryTokens:
    """A token source for one process: tests, and commands that run alone."""

    def __init__(
        self,
        wire: Wire,
        credentials: AppCredentials,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._wire = wire
        self._credentials = credentials
        self._now = now
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def get(self) -> AccessToken:
        with self._lock:
            if self._token is None or self._now() >= self._token.refresh_at:
                self._token = self._fetch()
            return self._token

    def refresh(self, rejected: AccessToken) -> AccessToken:
        with self._lock:
            if self._token is None or self._token.value == rejected.value:
                self._token = self._fetch()
            return self._token

    def _fetch(self) -> AccessToken:
        return fetch_stable_token(self._wire, self._credentials, now=self._now)


def _with_rid(error: TokenRejected) -> str:
    return f"{error.errmsg} rid: {error.rid}" if error.rid else error.errmsg

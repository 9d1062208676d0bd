"""Fetches access tokens, and says what keeps them.

This site uses only `stable_token` (获取稳定版接口调用凭据). While a token is valid, that call
returns the same token again, so two processes that fetch it do not break each other's calls, as
they would with `/cgi-bin/token`. WeChat makes a new token five minutes before the old one ends, and
both work during these five minutes.
"""

from __future__ import annotations

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
    "TokenSource",
    "fetch_stable_token",
]

_PATH = "/cgi-bin/stable_token"

# How many seconds before its end a token is replaced. More than WeChat's five minutes would only
# bring the same token again.
REFRESH_AHEAD = 240


@dataclass(frozen=True, slots=True)
class AppCredentials:
    """An account's AppID and AppSecret."""

    app_id: str
    app_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, and when it was fetched and when it ends, in Unix seconds by our clock."""

    value: str = field(repr=False)
    fetched_at: float
    expires_at: float

    @property
    def refresh_at(self) -> float:
        """When to replace the token: REFRESH_AHEAD before its end, but not in its first half."""
        return self.expires_at - min(REFRESH_AHEAD, (self.expires_at - self.fetched_at) / 2)


class TokenSource(Protocol):
    """Keeps an account's token. Both methods raise `APIError` if they cannot get one."""

    def get(self) -> AccessToken:
        """Returns a token for a call."""

    def refresh(self, rejected: AccessToken) -> AccessToken:
        """Returns the token to try instead of a rejected one.

        If it returns the rejected token again, there is no other: do not repeat the call.
        """


def fetch_stable_token(
    wire: Wire, credentials: AppCredentials, *, now: Callable[[], float] = time.time
) -> AccessToken:
    """Ask WeChat for the account's token, in normal mode.

    `now` returns Unix seconds. Raises `CredentialsRejected`, `AddressNotAllowed`, and the other
    errors of `Wire.call`.
    """
    # Count the token's life from before the call, so that it is never too long.
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
        # This call sends no token, so 40001 means that the AppSecret is wrong.
        raise CredentialsRejected(_PATH, error.errcode, _with_rid(error)) from None
    value, expires_in = text(answer, "access_token"), number(answer, "expires_in")
    if not value or expires_in <= 0:
        raise BadAnswer(_PATH, "no token in the answer")
    return AccessToken(value, asked_at, asked_at + expires_in)


def _with_rid(error: TokenRejected) -> str:
    return f"{error.errmsg} rid: {error.rid}" if error.rid else error.errmsg

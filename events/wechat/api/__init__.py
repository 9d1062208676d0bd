"""A client of WeChat's API (api.weixin.qq.com), as far as an Official Account needs it.

1. `wire.Wire` is the way there: JSON over HTTPS, timeouts, errors by class (`errors`);
2. `tokens.TokenSource` keeps the account's access token; who keeps it where is the caller's choice;
3. `client.Client` has the calls: `qr_codes`, `users`, `tags`, `menus`, `custom_messages`,
   `statistics`, `diagnostics`.

A rejected token is replaced once and the call made once more. Nothing else is tried again here:
`APIError.is_temporary` says whether it may help, and the caller knows whether it may happen
twice.
"""

from __future__ import annotations

from .client import Client
from .errors import (
    AddressNotAllowed,
    APIError,
    BadAnswer,
    CredentialsRejected,
    DailyQuotaReached,
    NotPermitted,
    RateLimitReached,
    RecipientRejected,
    Refused,
    RequestRejected,
    SystemBusy,
    TicketUnknown,
    TokenRejected,
    Unreachable,
)
from .http import API_BASE, MP_BASE, Timeouts, Wire
from .tokens import AccessToken, AppCredentials, MemoryTokens, TokenSource, fetch_stable_token

__all__ = [
    "API_BASE",
    "MP_BASE",
    "APIError",
    "AccessToken",
    "AddressNotAllowed",
    "AppCredentials",
    "BadAnswer",
    "Client",
    "CredentialsRejected",
    "DailyQuotaReached",
    "MemoryTokens",
    "NotPermitted",
    "RateLimitReached",
    "RecipientRejected",
    "Refused",
    "RequestRejected",
    "SystemBusy",
    "TicketUnknown",
    "Timeouts",
    "TokenRejected",
    "TokenSource",
    "Unreachable",
    "Wire",
    "fetch_stable_token",
]

"""A client of WeChat's API (api.weixin.qq.com), as far as an Official Account needs it.

1. `transport.http.Wire` is the way there: JSON over HTTPS, timeouts, errors by class;
2. `transport.tokens.TokenSource` keeps the account's access token; the caller chooses where;
3. `client.Client` has the calls, in one module for each group.

A rejected token is replaced once and the call made once more. Nothing else is tried again here:
`APIError.is_temporary` says whether it may help, and the caller knows whether it may happen
twice.
"""

from __future__ import annotations

from .all_calls import Client
from .transport.api_errors import (
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
from .transport.http import API_BASE, MP_BASE, Timeouts, Wire
from .transport.token_source import (
    AccessToken,
    AppCredentials,
    MemoryTokens,
    TokenSource,
    fetch_stable_token,
)

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

"""A client of WeChat's API (api.weixin.qq.com), as far as an Official Account needs it.

1. `transport.http.Wire` sends a request: JSON over HTTPS, with timeouts and classes of errors;
2. `transport.token_source.TokenSource` keeps the account's access token; the caller chooses where;
3. `all_calls.Client` has the calls, in one module for each group.

If WeChat rejects the token, the client fetches a new one and repeats the call once. It repeats
nothing else: `APIError.is_temporary` says whether a repetition may help, and the caller knows
whether the call may happen twice.
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
    TokenRejected,
    Unreachable,
)
from .transport.http import API_BASE, MP_BASE, Timeouts, Wire
from .transport.token_source import (
    AccessToken,
    AppCredentials,
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
    "NotPermitted",
    "RateLimitReached",
    "RecipientRejected",
    "Refused",
    "RequestRejected",
    "SystemBusy",
    "Timeouts",
    "TokenRejected",
    "TokenSource",
    "Unreachable",
    "Wire",
    "fetch_stable_token",
]

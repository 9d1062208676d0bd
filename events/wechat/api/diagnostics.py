"""Calls for finding faults: WeChat's view of our callback, quotas, past calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .transport.answer_fields import mapping, mappings, number, text
from .transport.calls import Calls

__all__ = ["CallbackCheck", "Diagnostics", "Ping", "Quota", "Resolution", "RidCall"]

_Action: TypeAlias = Literal["dns", "ping", "all"]
_Operator: TypeAlias = Literal["DEFAULT", "CHINANET", "UNICOM", "CAP"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """An address that WeChat found for our callback's host, and the operator of its network."""

    ip: str
    operator: str


@dataclass(frozen=True, slots=True)
class Ping:
    """One address's answer to a ping; `package_loss` and `time` are WeChat's: 0%, 23.079ms."""

    ip: str
    from_operator: str
    package_loss: str
    time: str


@dataclass(frozen=True, slots=True)
class CallbackCheck:
    """The results of WeChat's test of the way to our callback (网络检测)."""

    resolutions: tuple[Resolution, ...]
    pings: tuple[Ping, ...]


@dataclass(frozen=True, slots=True)
class Quota:
    """One API's calls of today, exact to about one percent, and its rate limit.

    WeChat allows `rate_calls` calls in `rate_seconds` seconds; both are None if it sets no limit.
    """

    daily_limit: int
    used: int
    remain: int
    rate_calls: int | None = None
    rate_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class RidCall:
    """A past call, found by its rid; `invoked_at` is in Unix seconds, the body is WeChat's answer.

    The request is left out, because it contains the access token.
    """

    invoked_at: int
    milliseconds: int
    client_ip: str
    response_body: str


class Diagnostics:
    """The calls about the account's connection and its limits."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def check_callback(
        self, action: _Action = "all", operator: _Operator = "DEFAULT"
    ) -> CallbackCheck:
        """Asks WeChat to resolve the host of our callback and to ping it."""
        answer = self._calls.post(
            "/cgi-bin/callback/check", {"action": action, "check_operator": operator}
        )
        return CallbackCheck(
            tuple(
                Resolution(text(row, "ip"), text(row, "real_operator"))
                for row in mappings(answer, "dns")
            ),
            tuple(
                Ping(
                    text(row, "ip"),
                    text(row, "from_operator"),
                    text(row, "package_loss"),
                    text(row, "time"),
                )
                for row in mappings(answer, "ping")
            ),
        )

    def quota(self, path: str) -> Quota:
        """Returns today's quota of one API; `path` has its leading slash."""
        answer = self._calls.post("/cgi-bin/openapi/quota/get", {"cgi_path": path})
        quota, rate = mapping(answer, "quota"), mapping(answer, "rate_limit")
        return Quota(
            number(quota, "daily_limit"),
            number(quota, "used"),
            number(quota, "remain"),
            number(rate, "call_count") or None,
            number(rate, "refresh_second") or None,
        )

    def call_of_rid(self, rid: str) -> RidCall:
        """Returns the call of a rid of the last seven days; errcode 76001 to 76004 if none."""
        answer = self._calls.post("/cgi-bin/openapi/rid/get", {"rid": rid})
        call = mapping(answer, "request")
        return RidCall(
            number(call, "invoke_time"),
            number(call, "cost_in_ms"),
            text(call, "client_ip"),
            text(call, "response_body"),
        )

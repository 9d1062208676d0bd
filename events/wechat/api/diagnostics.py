"""What helps operators: addresses, WeChat's view of our callback, quotas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .transport.answer_fields import mapping, mappings, number, text, texts
from .transport.calls import Calls

__all__ = ["CallbackCheck", "Diagnostics", "Ping", "Quota", "Resolution", "RidCall"]

_Action: TypeAlias = Literal["dns", "ping", "all"]
_Operator: TypeAlias = Literal["DEFAULT", "CHINANET", "UNICOM", "CAP"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """An address of our callback's host, as found by WeChat, and the network it is in."""

    ip: str
    operator: str


@dataclass(frozen=True, slots=True)
class Ping:
    """How one address answered; `package_loss` and `time` as WeChat writes them: 0%, 23.079ms."""

    ip: str
    from_operator: str
    package_loss: str
    time: str


@dataclass(frozen=True, slots=True)
class CallbackCheck:
    """What WeChat finds when it looks for our callback (网络检测)."""

    resolutions: tuple[Resolution, ...]
    pings: tuple[Ping, ...]


@dataclass(frozen=True, slots=True)
class Quota:
    """One API's calls of today, to about one percent, and its rate limit, None if there is none.

    `rate_calls` calls are allowed in `rate_seconds` seconds.
    """

    daily_limit: int
    used: int
    remain: int
    rate_calls: int | None = None
    rate_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class RidCall:
    """The call that WeChat gave a rid; `invoked_at` in Unix seconds, the body as WeChat sent it.

    What was asked is left out: it has the access token.
    """

    invoked_at: int
    milliseconds: int
    client_ip: str
    response_body: str


class Diagnostics:
    """Questions about the account's connection, not about its followers."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def callback_addresses(self) -> tuple[str, ...]:
        """The addresses and networks that pushes come from (获取微信回调IP)."""
        return texts(self._calls.get("/cgi-bin/getcallbackip"), "ip_list")

    def check_callback(
        self, action: _Action = "all", operator: _Operator = "DEFAULT"
    ) -> CallbackCheck:
        """How WeChat resolves and reaches the host of our callback."""
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
        """What is left today of one API, named by its path with the leading slash."""
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
        """The call behind a rid of the last seven days; 76001 to 76004 where there is none."""
        answer = self._calls.post("/cgi-bin/openapi/rid/get", {"rid": rid})
        call = mapping(answer, "request")
        return RidCall(
            number(call, "invoke_time"),
            number(call, "cost_in_ms"),
            text(call, "client_ip"),
            text(call, "response_body"),
        )

    def clear_quota(self, path: str) -> None:
        """Sets one API's count of today back to nothing."""
        self._calls.post("/cgi-bin/openapi/quota/clear", {"cgi_path": path})

    def clear_all_quotas(self, app_id: str) -> None:
        """Sets all counts of today back; ten times a month, `NotPermitted` after that."""
        self._calls.post("/cgi-bin/clear_quota", {"appid": app_id})

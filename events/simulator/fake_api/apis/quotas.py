"""The API that shows the quotas of calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["quota_apis"]

Known: TypeAlias = Mapping[str, Api]


def quota_apis(known: Known) -> dict[str, Api]:
    """Returns the APIs about quotas; `known` has all APIs, later these too."""
    return {
        "/cgi-bin/openapi/quota/get": Api("POST", partial(_quota, known)),
    }


def _quota(known: Known, account: FakeAccount, call: ApiCall) -> Fields:
    path = _known_path(known, call)
    if known[path].needs_certification and not account.is_certified:
        raise Refusal(76022)
    limit, used = account.quotas.limit(path), account.quotas.used(path, call.now)
    answer: dict[str, Any] = {
        **OK,
        "quota": {"daily_limit": limit, "used": used, "remain": max(0, limit - used)},
    }
    if path in account.quotas.per_minute:
        rate = account.quotas.per_minute[path]
        answer["rate_limit"] = {"call_count": rate, "refresh_second": 60}
    return answer


def _known_path(known: Known, call: ApiCall) -> str:
    path = call.body.get("cgi_path")
    if not isinstance(path, str) or path not in known:
        raise Refusal(76021)
    return path

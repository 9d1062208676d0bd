"""The check of the callback, and the explanation of a rid."""

from __future__ import annotations

import re
from typing import Any

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["DIAGNOSTICS"]

_RID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){2}")
_RID_SECONDS = 7 * 24 * 3600


def _check_callback(account: FakeAccount, call: ApiCall) -> Fields:
    action = call.body.get("action")
    if action not in {"dns", "ping", "all"}:
        raise Refusal(40202)
    if call.body.get("check_operator") not in {"DEFAULT", "CHINANET", "UNICOM", "CAP"}:
        raise Refusal(40203)
    found: dict[str, Any] = {}
    if action != "ping":
        found["dns"] = [{"ip": "192.0.2.10", "real_operator": "UNICOM"}]
    if action != "dns":
        ping = {
            "ip": "192.0.2.10",
            "from_operator": "UNICOM",
            "package_loss": "0%",
            "time": "23.079ms",
        }
        found["ping"] = [ping]
    return found


def _explain_rid(account: FakeAccount, call: ApiCall) -> Fields:
    rid = call.body.get("rid")
    if not isinstance(rid, str) or not _RID.fullmatch(rid):
        raise Refusal(76002)
    found = account.calls_by_rid.get(rid)
    if found is None:
        raise Refusal(76001)
    if call.now - found["invoke_time"] > _RID_SECONDS:
        raise Refusal(76004)
    return {**OK, "request": found}


DIAGNOSTICS: dict[str, Api] = {
    "/cgi-bin/callback/check": Api("POST", _check_callback),
    "/cgi-bin/openapi/rid/get": Api("POST", _explain_rid),
}

"""Tickets of the JS-SDK."""

from __future__ import annotations

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["JS_TICKETS"]


def _js_ticket(account: FakeAccount, call: ApiCall) -> Fields:
    if call.query.get("type") != "jsapi":
        raise Refusal(40035)
    return {**OK, "ticket": account.issue_js_ticket(), "expires_in": 7200}


JS_TICKETS: dict[str, Api] = {
    "/cgi-bin/ticket/getticket": Api("GET", _js_ticket, needs_certification=True),
}

"""QR codes (带参数的二维码)."""

from __future__ import annotations

from events.simulator.fake_api.apis.call import Api, ApiCall, Fields, object_in
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["CODES"]


def _create_code(account: FakeAccount, call: ApiCall) -> Fields:
    scene = object_in(object_in(call.body, "action_info"), "scene")
    action = call.body.get("action_name")
    if action in {"QR_STR_SCENE", "QR_LIMIT_STR_SCENE"}:
        text = scene.get("scene_str")
        if not isinstance(text, str) or not 1 <= len(text) <= 64:
            raise Refusal(40035)
    elif action in {"QR_SCENE", "QR_LIMIT_SCENE"}:
        # WeChat ignores an id outside of `scene`, and makes a code with scene 0.
        number = scene.get("scene_id", 0)
        highest = 100_000 if action == "QR_LIMIT_SCENE" else 2**32 - 1
        if not isinstance(number, int) or not 0 <= number <= highest:
            raise Refusal(40035)
        text = str(number)
    else:
        raise Refusal(40035)
    if "LIMIT" in action:
        if account.count_permanent_codes() >= 100_000:
            raise Refusal(45009)
        issued = account.issue_code(text, None)
        return {"ticket": issued.ticket, "url": issued.url}
    seconds = call.body.get("expire_seconds", 60)
    if not isinstance(seconds, int) or not 1 <= seconds <= 2_592_000:
        raise Refusal(40035)
    issued = account.issue_code(text, seconds)
    return {"ticket": issued.ticket, "expire_seconds": seconds, "url": issued.url}


CODES: dict[str, Api] = {
    "/cgi-bin/qrcode/create": Api("POST", _create_code, needs_certification=True),
}

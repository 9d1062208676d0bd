"""Examples of answers and bodies in the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

__all__ = [
    "ACCOUNT", "CSV", "EVENT", "EVENT_DETAIL", "MOMENT", "NDJSON", "OPENID", "answer", "of_answer",
    "of_body",
]  # fmt: skip

MOMENT = "2026-11-23T08:00:00Z"
OPENID = "oOWNk5QmZb7LwR2nVc9Ys0DfHj4E"
CSV = "text/csv"
NDJSON = "application/x-ndjson"


def of_answer(value: Any) -> OpenApiExample:
    return OpenApiExample("example", value, response_only=True, status_codes=["200", "201", "202"])


def of_body(value: Any) -> OpenApiExample:
    return OpenApiExample("example", value, request_only=True)


def answer(response: Any, value: Any) -> OpenApiResponse:
    """An answer with its example, for `responses` of `extend_schema`."""
    return OpenApiResponse(response, examples=[OpenApiExample("example", value)])


ACCOUNT = {
    "slug": "shop",
    "name": "Birch Books",
    "original_id": "gh_5f2c81d0a7be",
    "app_id": "wx3a9f0c27d81be645",
    "security_mode": "safe",
    "time_zone": "Asia/Shanghai",
    "is_active": True,
    "created_at": "2026-11-01T08:00:00Z",
}
EVENT = {
    "id": 2048,
    "account": "shop",
    "source": "callback",
    "kind": "event.click",
    "msg_type": "event",
    "event": "CLICK",
    "event_key": "NEW_BOOKS",
    "scene": "",
    "ticket": "",
    "msg_id": "",
    "openid": OPENID,
    "event_time": MOMENT,
    "received_at": "2026-11-23T08:00:00.412000Z",
    "delivery_count": 1,
    "status": "processed",
    "error": "",
    "mended": False,
    "payload": {
        "ToUserName": "gh_5f2c81d0a7be",
        "FromUserName": OPENID,
        "CreateTime": "1795507200",
        "MsgType": "event",
        "Event": "CLICK",
        "EventKey": "NEW_BOOKS",
    },
}
EVENT_DETAIL = EVENT | {
    "raw": "<xml><ToUserName><![CDATA[gh_5f2c81d0a7be]]></ToUserName>…</xml>",
    "reply": "",
    "answered_at": None,
    "answered_by": "",
    "is_cut": False,
}

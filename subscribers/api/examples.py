"""Examples of answers and request bodies for the OpenAPI schema."""

from __future__ import annotations

from events.api.openapi.examples import MOMENT, OPENID

__all__ = [
    "BINDING", "BINDING_REQUEST", "CODE_OF_BINDING", "DELIVERY", "MESSAGE", "NEW_BINDING_REQUEST",
    "NEW_MESSAGE", "NEW_SCENE", "NEW_WEBHOOK", "SCENE", "SUBSCRIBER", "WEBHOOK",
]  # fmt: skip

_LATER = "2026-11-23T08:10:00Z"

SUBSCRIBER = {
    "id": 311,
    "account": "shop",
    "openid": OPENID,
    "is_following": True,
    "first_followed_at": "2026-03-02T04:00:00Z",
    "last_followed_at": "2026-03-02T04:00:00Z",
    "last_unfollowed_at": None,
    "last_seen_at": MOMENT,
    "follow_count": 1,
    "unfollow_count": 0,
    "event_count": 27,
    "first_scene": "poster-spring",
    "last_scene": "poster-spring",
    "unionid": "",
    "tags": ["Readers"],
    "bound_user": "alice",
    "updated_at": "2026-11-23T08:00:00.412000Z",
}
NEW_SCENE = {"account": "shop", "name": "Spring poster", "scene": "poster-spring", "tags": ["2026"]}
SCENE = {
    "id": 12,
    "account": "shop",
    "scene": "poster-spring",
    "name": "Spring poster",
    "note": "",
    "tags": ["2026"],
    "is_permanent": True,
    "expire_seconds": None,
    "expires_at": None,
    "is_expired": False,
    "state": "ready",
    "failure": "",
    "failure_text": "",
    "ticket": "gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9x",
    "url": "http://weixin.qq.com/q/02kZr3Q",
    "created_at": MOMENT,
}
BINDING = {
    "id": 5,
    "account": "shop",
    "openid": OPENID,
    "user": "alice",
    "bound_at": MOMENT,
    "unbound_at": None,
    "event": 2048,
    "is_active": True,
    "is_dormant": False,
}
NEW_BINDING_REQUEST = {"account": "shop", "user": "alice"}
BINDING_REQUEST = {
    "id": 9,
    **NEW_BINDING_REQUEST,
    "way": "scan",
    "state": "waiting",
    "created_at": MOMENT,
    "expires_at": _LATER,
    "completed_at": None,
    "refused_reason": "",
}
CODE_OF_BINDING = {"url": "http://weixin.qq.com/q/02mVd8T", "failure": ""}
NEW_MESSAGE = {
    "account": "shop",
    "openid": OPENID,
    "kind": "text",
    "payload": {"content": "您的订单已发货"},
}
MESSAGE = {
    "id": 77,
    **NEW_MESSAGE,
    "state": "queued",
    "failure": "",
    "failure_text": "",
    "event": None,
    "created_at": MOMENT,
    "window_until": "2026-11-25T08:00:00Z",
    "sent_at": None,
}
NEW_WEBHOOK = {
    "account": "shop",
    "url": "https://crm.example.com/wechat",
    "types": ["follower.followed", "event.click"],
}
WEBHOOK = {
    "id": 3,
    **NEW_WEBHOOK,
    "is_active": True,
    "failures": 0,
    "failing_since": None,
    "paused_at": None,
    "stopped_because": "",
    "created_at": MOMENT,
}
DELIVERY = {
    "id": 901,
    "message_id": "msg_3f9a6c1be2d4875f0a6b9c1d2e3f",
    "type": "event.click",
    "event": 2048,
    "state": "sent",
    "created_at": MOMENT,
    "due_at": None,
    "sent_at": "2026-11-23T08:00:01Z",
    "failure": "",
    "payload": '{"type":"event.click","timestamp":"2026-11-23T08:00:00Z","data":{}}',
    "attempts": [
        {
            "at": "2026-11-23T08:00:01Z",
            "duration_ms": 84,
            "headers": {"webhook-id": "msg_3f9a6c1be2d4875f0a6b9c1d2e3f"},
            "status": 204,
            "answer": "",
            "error": "",
        }
    ],
}

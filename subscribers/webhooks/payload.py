"""Builds messages: JSON with `type`, `timestamp` and `data`, as Standard Webhooks has it.

`data` always names the account, the follower and the event of the log in the same fields; its
other fields depend on the type. Binding codes are masked: with one, a reader could bind a WeChat to
another person's user.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from events.models import EventLog
from subscribers.models import Binding, OutgoingMessage, QRScene, WebhookMessage
from subscribers.webhooks.event_types import TEST

__all__ = ["of_binding", "of_event", "of_message", "of_scene", "of_test"]


def of_event(event: EventLog, type_: str) -> WebhookMessage:
    """The message about an event of the log; the event's account must be loaded."""
    return _message(
        type_,
        event.account,
        event.event_time,
        openid=event.openid,
        event_id=event.pk,
        data={
            "id": event.pk,
            "kind": event.kind,
            "source": event.source,
            "event_time": _time(event.event_time),
            "received_at": _time(event.received_at),
            "event_key": event.masked(event.event_key),
            "scene": event.masked(event.scene),
            "msg_id": event.msg_id,
            "payload": event.masked_payload(event.payload),
        },
    )


def of_binding(binding: Binding, type_: str, at: datetime.datetime) -> WebhookMessage:
    """The message about a binding that began or ended."""
    return _message(
        type_,
        binding.account,
        at,
        openid=binding.subscriber.openid,
        event_id=binding.event_id,
        data={
            "id": binding.pk,
            "user": binding.user.get_username() if binding.user else None,
            "bound_at": _time(binding.bound_at),
            "unbound_at": _time(binding.unbound_at),
        },
    )


def of_message(message: OutgoingMessage, type_: str, at: datetime.datetime) -> WebhookMessage:
    """The message about a customer-service message that failed."""
    return _message(
        type_,
        message.account,
        at,
        openid=message.subscriber.openid,
        event_id=message.event_id,
        data={
            "id": message.pk,
            "kind": message.kind,
            "failure": message.failure,
            "failure_text": message.failure_text,
            "created_at": _time(message.created_at),
        },
    )


def of_scene(scene: QRScene, type_: str, at: datetime.datetime) -> WebhookMessage:
    """The message about a QR code that is ready."""
    return _message(
        type_,
        scene.account,
        at,
        data={
            "id": scene.pk,
            "scene": scene.scene,
            "name": scene.name,
            "is_permanent": scene.is_permanent,
            "expires_at": _time(scene.expires_at),
            "url": scene.url,
        },
    )


def of_test(account: Any, at: datetime.datetime) -> WebhookMessage:
    """The message of a test."""
    return _message(TEST, account, at, data={"id": None})


def _message(
    type_: str,
    account: Any,
    at: datetime.datetime,
    *,
    data: dict[str, Any],
    openid: str = "",
    event_id: int | None = None,
) -> WebhookMessage:
    said = {"account": account.slug, "openid": openid, "event_id": event_id} | data
    body = {"type": type_, "timestamp": _time(at), "data": said}
    return WebhookMessage(
        account=account,
        type=type_,
        openid=openid,
        event_id=event_id,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )


def _time(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")

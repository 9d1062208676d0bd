"""What another app of the site does with events, by the public decorators alone."""

from __future__ import annotations

from events.log.registry import projection, reply_handler
from events.models import EventLog
from events.wechat import Reply, TextReply

visits: list[tuple[str, str]] = []


@projection("event.subscribe", "event.scan")
def count_visit(event: EventLog) -> None:
    visits.append((event.openid, event.scene))


@reply_handler("event.click", override=True)
def answer_click(event: EventLog) -> Reply | None:
    return TextReply("您有 2 个订单") if event.event_key == "MENU_MY_ORDERS" else None

"""What one process of a race for a window's last places does. Imported before Django is set up."""

from __future__ import annotations

import time

from subscribers.tests.qr_codes.ticket_racer import set_up


def prepare(database: str) -> None:
    """Makes tables where they are missing, and a follower who has just written."""
    set_up(database)
    from django.core.management import call_command
    from django.db import connections
    from django.utils import timezone

    from events.callback.build_event import build_event
    from events.log.process import deliver
    from events.testing import make_account, message_xml

    call_command("migrate", verbosity=0)
    now = timezone.now()
    text = message_xml("text", openid="o1", at=int(now.timestamp()), Content="?", MsgId=1)
    deliver([build_event(make_account(), text, now)])
    connections.close_all()


def write_to_all(database: str, start_at: float, tries: int) -> int:
    """Writes to every follower so often, from that moment on; returns how many were queued."""
    set_up(database)
    from django.db import connections

    from events.wechat.api.custom_messages import TextMessage
    from subscribers.messages.send import NotDeliverable, send_message
    from subscribers.models import Subscriber

    followers = list(Subscriber.objects.all())
    time.sleep(max(0.0, start_at - time.time()))
    queued = 0
    for follower in followers * tries:
        try:
            send_message(follower, TextMessage("x"))
        except NotDeliverable:
            continue
        queued += 1
    connections.close_all()
    return queued

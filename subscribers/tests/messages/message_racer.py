"""What one process of a race for a window's last places does. Imported before Django is set up."""

from __future__ import annotations

from wechat_site.tests.racing import set_up, wait_for_others


def prepare(database: str) -> None:
    """Makes a follower who has just written."""
    set_up(database)
    from django.utils import timezone

    from events.callback.build_event import build_event
    from events.log.process import deliver
    from events.testing import make_account, message_xml

    now = timezone.now()
    text = message_xml("text", openid="o1", at=int(now.timestamp()), Content="?", MsgId=1)
    deliver([build_event(make_account(), text, now)])


def write_to_all(database: str, tries: int) -> int:
    """Writes to every follower so often; returns how many messages were queued."""
    set_up(database)
    from events.wechat.api.custom_messages import TextMessage
    from subscribers.messages.send import NotDeliverable, send_message
    from subscribers.models import Subscriber

    followers = list(Subscriber.objects.all())
    wait_for_others()
    queued = 0
    for follower in followers * tries:
        try:
            send_message(follower, TextMessage("x"))
        except NotDeliverable:
            continue
        queued += 1
    return queued

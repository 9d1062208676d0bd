"""Work for many workers, put into a site's database and looked at afterwards.

These functions run inside the site, by `manage.py shell`. Another kind of work takes three: to put
it there, to make it due, and to say what became of it.
"""

from __future__ import annotations

import datetime
import json
import time

from django.utils import timezone

from events.callback.build_event import build_event
from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.simulator.fake_api import NumberedFollowers
from events.simulator.pushes import message_push
from events.testing import make_rule
from events.wechat.api.custom_messages import TextMessage
from subscribers.messages.send import send_message
from subscribers.models import OutgoingMessage, Subscriber

__all__ = ["FOLLOWERS", "SECRET", "make_due", "report", "seed"]

SECRET = "5d41402abc4b2a76b9719d911017c592"
FOLLOWERS = NumberedFollowers(2000)


def seed(messages: int, events: int) -> None:
    """So many messages to followers, and events whose answer is missing; nothing is due yet.

    An event's answer comes too late for WeChat, so each makes one message more.
    """
    account = OfficialAccount.objects.get()
    account.app_secret = SECRET
    account.save(update_fields=["app_secret"])
    make_rule(account, "text", content="late")
    rows = []
    for number in range(messages + events):
        push = message_push(
            account.original_id, FOLLOWERS.openid(number), int(time.time()), "text", number + 1,
            {"Content": "?"},
        )  # fmt: skip
        row = build_event(account, push.body, timezone.now())
        row.status, row.reply, row.processed_at = EventLog.Status.RECEIVED, "", None
        row.answered_by, row.answered_at = EventLog.AnsweredBy.NOBODY_YET, None
        row.next_attempt_at = None
        rows.append(row)
    for row in rows[:messages]:
        row.status = EventLog.Status.PROCESSED
    for start in range(0, messages, 500):
        deliver(rows[start : min(start + 500, messages)])
    for start in range(messages, len(rows), 500):
        # Stored, but not folded: as a site does that is killed at that moment.
        EventLog.objects.deliver(rows[start : start + 500])
    for subscriber in Subscriber.objects.all():
        send_message(subscriber, TextMessage(f"message to {subscriber.openid}"))
    OutgoingMessage.objects.update(due_at=timezone.now() + datetime.timedelta(hours=1))


def make_due() -> None:
    """Everything at once."""
    now = timezone.now()
    EventLog.objects.awaiting_outcome().update(next_attempt_at=now)
    OutgoingMessage.objects.waiting().update(due_at=now)


def report() -> None:
    """Prints what became of it, as JSON."""
    # Beside them, the worker adds what it learns of each follower.
    pushed = EventLog.objects.filter(source=EventLog.Source.CALLBACK)
    print(
        json.dumps(
            {
                "events": list(pushed.values("id", "status", "next_attempt_at")),
                "messages": [
                    {
                        "openid": message.subscriber.openid,
                        "content": message.payload["content"],
                        "state": message.state,
                        "failure": message.failure,
                        "lease": message.lease,
                        "event": message.event_id,
                    }
                    for message in OutgoingMessage.objects.select_related("subscriber")
                ],
            },
            default=str,
        )
    )

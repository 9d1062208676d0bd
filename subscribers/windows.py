"""When a follower may be sent customer-service messages (客服消息), computed from the log.

What the follower does opens a window: for some time some messages may go to them. Each act opens
its own, anew each time. WeChat does not say that windows add up, and the rule known from mini
programs is that they do not, so a message counts in all that are open, and what may still be sent
is what the best of them leaves. settings.MESSAGE_WINDOWS has the numbers, which WeChat changes.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import EventLog

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from subscribers.models import Subscriber

__all__ = ["ACTS", "ACT_KINDS", "MESSAGE_KINDS", "Window", "window_of"]

# What may open a window, by the names in settings.MESSAGE_WINDOWS.
ACTS: dict[str, StrOrPromise] = {
    "message": _("a message"),
    "menu": _("a menu click"),
    "follow": _("a follow"),
    "scan": _("a QR scan"),
}
MESSAGE_KINDS = (
    "text", "image", "voice", "video", "shortvideo", "location", "link", "file", "miniprogrampage",
)  # fmt: skip
_ACT_OF = {
    **dict.fromkeys(MESSAGE_KINDS, "message"),
    "event.click": "menu",
    "event.scancode_push": "menu",
    "event.scancode_waitmsg": "menu",
    "event.subscribe": "follow",
    "event.scan": "scan",
}
# All that may open a window.
ACT_KINDS = tuple(_ACT_OF)


@dataclass(frozen=True, slots=True)
class Window:
    """What one act allows: `allowed` messages until `until`, `used` of which are sent or queued."""

    act: str
    opened_at: datetime.datetime
    until: datetime.datetime
    allowed: int
    used: int

    @property
    def remaining(self) -> int:
        return max(0, self.allowed - self.used)


def window_of(subscriber: Subscriber, now: datetime.datetime | None = None) -> Window | None:
    """The window that allows most: with messages left before used up, then the longest.

    None if none is open. Whoever has left has none.
    """
    now = now or timezone.now()
    if not subscriber.is_following:
        return None
    open_windows = []
    for act, opened_at in _latest_acts(subscriber, now).items():
        allowed, seconds = settings.MESSAGE_WINDOWS[act]
        until = opened_at + datetime.timedelta(seconds=seconds)
        if until > now:
            used = subscriber.outgoing_messages.spent_since(opened_at).count()
            open_windows.append(Window(act, opened_at, until, allowed, used))
    return max(open_windows, key=lambda window: (window.remaining > 0, window.until), default=None)


def _latest_acts(subscriber: Subscriber, now: datetime.datetime) -> dict[str, datetime.datetime]:
    """When the follower last did what opens a window, by name."""
    longest = max(seconds for _, seconds in settings.MESSAGE_WINDOWS.values())
    acts = (
        EventLog.objects.with_openid(subscriber.openid)
        .filter(
            account=subscriber.account_id,
            # What was learnt from the platform was not pushed just now.
            source=EventLog.Source.CALLBACK,
            kind__in=list(_ACT_OF),
            event_time__gt=now - datetime.timedelta(seconds=longest),
        )
        .exclude(status=EventLog.Status.SET_ASIDE)
        .order_by("-event_time")
    )
    if subscriber.last_unfollowed_at is not None:
        acts = acts.filter(event_time__gt=subscriber.last_unfollowed_at)
    latest: dict[str, datetime.datetime] = {}
    for event in acts.only("kind", "event_time", "raw").iterator(chunk_size=50):
        latest.setdefault(_act(event), event.event_time)
        if len(latest) == len(ACTS):
            break
    return latest


def _act(event: EventLog) -> str:
    # The tap on an answer of a msgmenu arrives as a text, and counts as a tap.
    if event.kind == "text" and "bizmsgmenuid" in (event.payload or {}):
        return "menu"
    return _ACT_OF[event.kind]

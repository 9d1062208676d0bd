"""Computes from the log when an account may send a follower customer-service messages (客服消息).

An act of the follower opens a window: for some time, the account may send some messages. Each kind
of act opens its own window, and opens it anew each time. WeChat does not say that windows add up,
and those of mini programs do not. So a message counts in all open windows, and the best of them
says how many may still be sent. settings.MESSAGE_WINDOWS has the numbers, which WeChat changes.
"""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Coalesce, Least
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.kinds import KINDS, window_length
from events.models import EventLog

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from subscribers.models import Subscriber

__all__ = ["ACTS", "ACT_KINDS", "Window", "acted_lately", "window_of"]

# The acts that open a window. The keys are those of settings.MESSAGE_WINDOWS.
ACTS: dict[str, StrOrPromise] = {
    "message": _("a message"),
    "menu": _("a menu click"),
    "follow": _("a follow"),
    "scan": _("a QR scan"),
}
_ACT_OF = {kind: entry.window for kind, entry in KINDS.items() if entry.window is not None}
# All kinds of events that may open a window.
ACT_KINDS = tuple(_ACT_OF)

# Takes the time of our clock if that is behind WeChat's. With the later time a window would seem
# to last too long, WeChat would refuse a message, and those of its first seconds would not count.
_ACT_TIME = Least("event_time", "received_at")
_TEXTS_AT_ONCE = 20


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
    """The best open window: one with messages left before one without, then the longest.

    None if none is open. People who left have no window, and followers of an inactive account
    have none.
    """
    now = now or timezone.now()
    if not (subscriber.is_following and subscriber.account.is_active) or subscriber.erased_at:
        return None
    open_windows = []
    for act, opened_at in _latest_acts(subscriber, now).items():
        allowed, seconds = settings.MESSAGE_WINDOWS[act]
        until = opened_at + datetime.timedelta(seconds=seconds)
        if until > now:
            used = subscriber.outgoing_messages.spent_since(opened_at).count()
            open_windows.append(Window(act, opened_at, until, allowed, used))
    return max(open_windows, key=lambda window: (window.remaining > 0, window.until), default=None)


def acted_lately(now: datetime.datetime) -> Q:
    """The condition on messages that their follower may have an open window.

    It reads only the follower's row. It is true for every open window, and for some closed ones.
    """
    seconds = {act: lasts for act, (_, lasts) in settings.MESSAGE_WINDOWS.items()}
    # last_seen_at does not count follows.
    followed_since = now - datetime.timedelta(seconds=seconds.pop("follow"))
    seen_since = now - datetime.timedelta(seconds=max(seconds.values()))
    has_followed = Q(subscriber__last_followed_at__gt=followed_since)
    return has_followed | Q(subscriber__last_seen_at__gt=seen_since)


def _latest_acts(subscriber: Subscriber, now: datetime.datetime) -> dict[str, datetime.datetime]:
    """When the follower's latest act of each kind opened a window."""
    longest = max(seconds for _, seconds in settings.MESSAGE_WINDOWS.values())
    acts = (
        EventLog.objects.with_openid(subscriber.openid)
        .filter(
            account=subscriber.account_id,
            # An observation of a sync is no act of the follower.
            source=EventLog.Source.CALLBACK,
            kind__in=ACT_KINDS,
            event_time__gt=now - datetime.timedelta(seconds=longest),
        )
        .exclude(status=EventLog.Status.QUARANTINED)
        .order_by()
    )
    if subscriber.last_unfollowed_at is not None:
        acts = acts.filter(event_time__gt=subscriber.last_unfollowed_at)
    latest: dict[str, datetime.datetime] = {}
    for kind, at in acts.values_list("kind").annotate(at=Max(_ACT_TIME)):
        opened = _latest_texts(acts.filter(kind=kind), now) if kind == "text" else [(kind, at)]
        for kind, at in opened:
            act = _ACT_OF[kind]
            latest[act] = max(at, latest.get(act, at))
    return latest


def _latest_texts(
    texts: QuerySet[EventLog], now: datetime.datetime
) -> list[tuple[str, datetime.datetime]]:
    """Returns kind and time of the latest text, and of the latest msgmenu tap as a menu click.

    A tap on an answer of a msgmenu arrives as a text, and only its body says so.
    """
    taps_since = now - window_length("menu")
    # This order has no index on purpose: PostgreSQL would scan the events of all followers by time.
    newest_first = texts.annotate(at=Coalesce(_ACT_TIME, "event_time")).order_by("-at", "-pk")
    tap: list[tuple[str, datetime.datetime]] = []
    for start in itertools.count(step=_TEXTS_AT_ONCE):
        page = list(newest_first.only("raw", "mended")[start : start + _TEXTS_AT_ONCE])
        for event in page:
            if "bizmsgmenuid" not in (event.payload or {}):
                return [*tap, ("text", event.at)]
            if not tap and event.at > taps_since:
                tap = [("event.click", event.at)]
        if len(page) < _TEXTS_AT_ONCE:
            break
    return tap

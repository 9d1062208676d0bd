"""The latest events of a follower, as pages show them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from events.admin.html import menu_name, moment
from events.kinds import label
from events.menus.names import MenuNames
from events.models import EventLog
from subscribers.models import Subscriber
from subscribers.qr_codes.code_names import CodeNames

__all__ = ["latest_events"]


def latest_events(subscriber: Subscriber, most: int) -> list[dict[str, Any]]:
    """Prepares a follower's latest events for templates; a scene gets the name of its code."""
    account = subscriber.account
    events = list(
        EventLog.objects.with_openid(subscriber.openid)
        .filter(account=account.pk)
        .newest_first()[:most]
    )
    names = MenuNames.for_events(events)
    codes = CodeNames([account.pk], (event.scene for event in events))
    return [
        {
            "url": reverse("admin:events_eventlog_change", args=[event.pk]),
            "at": moment(event.event_time, account),
            "label": label(event.kind),
            "menu_name": menu_name(names.of(event)),
            "key": event.masked(codes.in_words(account.pk, event.scene) or event.event_key),
        }
        for event in events
    ]

"""Quiet hours of a channel, by the site's clock."""

from __future__ import annotations

import datetime

from django.utils import timezone

from events.models import AlertChannel

__all__ = ["when_to_send"]


def when_to_send(
    channel: AlertChannel, now: datetime.datetime, *, is_urgent: bool
) -> datetime.datetime:
    """Returns `now`, or the end of the channel's quiet hours."""
    begin, end = channel.quiet_from, channel.quiet_to
    if begin is None or end is None or begin == end or (is_urgent and channel.urgent_always):
        return now
    local = timezone.localtime(now)
    time = local.time()
    # Quiet hours usually pass midnight.
    is_quiet = begin <= time < end if begin < end else time >= begin or time < end
    if not is_quiet:
        return now
    day = local.date() if time < end else local.date() + datetime.timedelta(days=1)
    return datetime.datetime.combine(day, end, tzinfo=timezone.get_default_timezone())

"""Starts the nightly follower syncs."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.utils import timezone

from events.models import OfficialAccount
from events.platform.rights import able_accounts
from subscribers.models import FollowerSync, ProfileFetch

__all__ = ["begin_daily"]

# A run that was missed is made up at any time of the day, but an account's first run begins only
# in the first hours of a night.
_FIRST_RUN_WITHIN = datetime.timedelta(hours=3)


def begin_daily(now: datetime.datetime | None = None) -> int:
    """Begins a run for each account whose night has come; returns how many.

    It leaves out accounts that WeChat does not let ask for their followers.
    """
    hour = settings.FOLLOWER_SYNC_HOUR
    if hour is None:
        return 0
    now = now or timezone.now()
    begun = 0
    for account in able_accounts():
        night = _last_night(account, hour, now)
        runs = FollowerSync.objects.filter(account=account)
        is_due = account.created_at <= night and (now - night < _FIRST_RUN_WITHIN or runs.exists())
        if not is_due or runs.filter(requested_at__gte=night).exists():
            continue
        if ProfileFetch.objects.of(account).is_refused:
            continue
        _, is_new = FollowerSync.objects.begin(
            account, origin=FollowerSync.Origin.SCHEDULE, now=now
        )
        begun += is_new
    return begun


def _last_night(account: OfficialAccount, hour: int, now: datetime.datetime) -> datetime.datetime:
    """The last time at which the account's sync was to begin; accounts are spread over an hour."""
    here = now.astimezone(account.zone)
    night = here.replace(hour=hour, minute=account.pk * 7 % 60, second=0, microsecond=0)
    return night if night <= here else night - datetime.timedelta(days=1)

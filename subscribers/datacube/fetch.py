"""Fetches WeChat's figures of the days that are missing or may still be corrected."""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Iterator

from django.utils import timezone

from events.models import OfficialAccount
from events.platform.client import client_for
from events.platform.rights import able_accounts, note_unauthorized
from events.wechat.api import APIError
from events.wechat.api.datacube import LONGEST_SPAN
from events.wechat.beijing_time import BEIJING
from subscribers.models import ProfileFetch, WeChatDay

__all__ = ["fetch_figures"]

logger = logging.getLogger(__name__)

# WeChat has the figures of a day at eight in the morning of the next day, in Beijing.
_READY = datetime.timedelta(hours=8)
# How many spans of seven days are fetched for a new account.
_SPANS = 4
# WeChat corrects the latest days: they are fetched once a day.
_REFRESH_AFTER = datetime.timedelta(hours=20)
_DAY = datetime.timedelta(days=1)


def fetch_figures(now: datetime.datetime | None = None) -> int:
    """Fetches figures of each account whose figures are missing or old; returns how many days.

    Call it outside a transaction. Accounts that may not ask for their followers are left out,
    because WeChat would refuse them the figures too.
    """
    now = now or timezone.now()
    fetched = 0
    for account in able_accounts():
        if ProfileFetch.objects.of(account).is_refused:
            continue
        try:
            for begin, end in _spans(account, now):
                fetched += _fetch(account, begin, end, now)
        except APIError as error:
            note_unauthorized(account.pk, error)
            # The account's page and its alerts give the reason. The worker tries again in an hour.
            logger.warning("No figures of %s from WeChat: %s", account.slug, error)
    return fetched


def _spans(
    account: OfficialAccount, now: datetime.datetime
) -> Iterator[tuple[datetime.date, datetime.date]]:
    last = (now.astimezone(BEIJING) - _READY).date() - _DAY
    first = last - (LONGEST_SPAN * _SPANS - 1) * _DAY
    rows = WeChatDay.objects.filter(account=account, date__range=(first, last))
    known = dict(rows.values_list("date", "fetched_at"))
    for number in range(_SPANS):
        end = last - number * LONGEST_SPAN * _DAY
        days = [end - back * _DAY for back in range(LONGEST_SPAN)]
        is_old = number == 0 and any(known.get(day, now) < now - _REFRESH_AFTER for day in days)
        if is_old or not known.keys() >= set(days):
            yield days[-1], end


def _fetch(
    account: OfficialAccount, begin: datetime.date, end: datetime.date, now: datetime.datetime
) -> int:
    datacube = client_for(account).datacube
    new: Counter[datetime.date] = Counter()
    cancelled: Counter[datetime.date] = Counter()
    for row in datacube.user_summary(begin, end):
        new[row.date] += row.new
        cancelled[row.date] += row.cancelled
    # A day without a total is not ready yet; that does not mean that it had no followers.
    days = [
        WeChatDay(
            account=account,
            date=row.date,
            new=new[row.date],
            cancelled=cancelled[row.date],
            cumulative=row.total,
            fetched_at=now,
        )
        for row in datacube.user_cumulate(begin, end)
    ]
    WeChatDay.objects.bulk_create(
        days,
        update_conflicts=True,
        unique_fields=["account", "date"],
        update_fields=["new", "cancelled", "cumulative", "fetched_at"],
    )
    return len(days)

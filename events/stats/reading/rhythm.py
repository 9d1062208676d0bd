"""Tells whether an account's pushes come as usual, by comparing its silence with its rhythm.

The usual rhythm is the mean of the last four weeks for each hour of the day. So silence at night
means nothing, but the same silence at noon may be a fault.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import F, Min, Sum

from events.models import HealthCount
from events.stats.reading.queries import Seconds

__all__ = ["Pulse", "Rhythm", "last_hour_with_pushes", "rhythms"]

_WEEKS = datetime.timedelta(days=28)
_DAY = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)
# A longer silence counts as one of this length.
_LONGEST = datetime.timedelta(days=14)


class Pulse(enum.Enum):
    """How an account's silence compares with its rhythm."""

    ALIVE = "alive"
    LATE = "late"
    SILENT = "silent"
    # The counts cover less than a day, or no push ever came.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How many pushes usually come in each hour of the day (UTC), from counts of `days` days."""

    days: float = 0
    hours: Mapping[int, float] = field(default_factory=dict)

    def expected(self, since: datetime.datetime, now: datetime.datetime) -> float:
        """Returns how many pushes would usually have come since then."""
        at, number = max(since, now - _LONGEST), 0.0
        while at < now:
            end = min(at.replace(minute=0, second=0, microsecond=0) + _HOUR, now)
            number += self.hours.get(at.astimezone(datetime.UTC).hour, 0) * ((end - at) / _HOUR)
            at = end
        return number

    def pulse(
        self,
        last: datetime.datetime | None,
        now: datetime.datetime,
        *,
        late: int,
        silent: int,
    ) -> Pulse:
        """Compares the silence since `last` with the rhythm.

        `late` and `silent` are numbers of pushes that would usually have come since then.
        """
        if last is None or self.days < 1:
            return Pulse.UNKNOWN
        missing = self.expected(last, now)
        if missing >= silent:
            return Pulse.SILENT
        return Pulse.LATE if missing >= late else Pulse.ALIVE


def rhythms(account_ids: Sequence[int], now: datetime.datetime) -> Mapping[int, Rhythm]:
    """Returns the usual rhythm of each account that had pushes in the last four weeks."""
    lately = HealthCount.objects.filter(account__in=account_ids, start__gte=now - _WEEKS)
    rows = (
        lately.order_by()
        .annotate(hour=(Seconds("start") / 3600) % 24)
        .values_list("account", "hour")
        .annotate(received=Sum("received"), first=Min(F("start")))
    )
    received: dict[int, dict[int, int]] = {}
    first: dict[int, datetime.datetime] = {}
    for account_id, hour, number, begun in rows:
        received.setdefault(account_id, {})[hour] = number
        first[account_id] = min(first.get(account_id, begun), begun)
    return {
        pk: Rhythm(
            (now - first[pk]) / _DAY,
            {hour: number / max((now - first[pk]) / _DAY, 1) for hour, number in hours.items()},
        )
        for pk, hours in received.items()
    }


def last_hour_with_pushes(account_id: int, now: datetime.datetime) -> datetime.datetime | None:
    """Returns when the last hour began in which pushes were counted; None without such an hour.

    So it finds the last push even if many rows of a sync follow it in the log.
    """
    counted = HealthCount.objects.filter(account=account_id, start__lte=now, received__gt=0)
    return counted.order_by("-start").values_list("start", flat=True).first()

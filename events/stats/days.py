"""Days of several accounts, each by its own calendar."""

from __future__ import annotations

import datetime
import functools
import operator
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from events.models import OfficialAccount
from events.stats.periods import day_start

__all__ = ["Days"]

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """The days from `first` to `last` of some accounts, each with its own midnight."""

    accounts: Sequence[OfficialAccount]
    first: datetime.date
    last: datetime.date

    @property
    def before(self) -> Days:
        """The same number of days just before these."""
        days = self.last - self.first + _DAY
        return Days(self.accounts, self.first - days, self.last - days)

    @property
    def with_before(self) -> Days:
        """These days and the same number of days before them."""
        return Days(self.accounts, self.before.first, self.last)

    @property
    def name(self) -> str:
        """A cache key for these days of these accounts."""
        return f"{sorted(self.by_zone.items())} {self.first} {self.last}"

    @functools.cached_property
    def dates(self) -> Sequence[datetime.date]:
        return [self.first + number * _DAY for number in range((self.last - self.first).days + 1)]

    @functools.cached_property
    def zones(self) -> Mapping[int, zoneinfo.ZoneInfo]:
        return {account.pk: account.zone for account in self.accounts}

    @functools.cached_property
    def by_zone(self) -> Mapping[str, Sequence[int]]:
        """The ids of the accounts of each time zone."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for account in self.accounts:
            found[account.time_zone].append(account.pk)
        return dict(found)

    def bounds(self, zone: zoneinfo.ZoneInfo) -> tuple[datetime.datetime, datetime.datetime]:
        """The first moment of these days in that zone, and the first one after them."""
        return day_start(self.first, zone), day_start(self.last + _DAY, zone)

    def around(self, column: str) -> Q:
        """Rows whose time lies in these days of any of the accounts: one range for an index."""
        bounds = [self.bounds(zoneinfo.ZoneInfo(name)) for name in self.by_zone]
        if not bounds:
            return Q(pk__in=[])
        start, end = min(start for start, _ in bounds), max(end for _, end in bounds)
        return Q((f"{column}__gte", start), (f"{column}__lt", end))

    def within(self, account: str, column: str) -> Q:
        """Rows of these accounts whose time lies in these days of their own account."""
        if not self.accounts:
            return Q(pk__in=[])
        conditions = []
        for name, ids in self.by_zone.items():
            start, end = self.bounds(zoneinfo.ZoneInfo(name))
            conditions.append(
                Q((f"{account}__in", ids), (f"{column}__gte", start), (f"{column}__lt", end))
            )
        return functools.reduce(operator.or_, conditions)

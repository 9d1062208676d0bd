"""Counts distinct people of several accounts: followers with the same UnionID are one person.

A follower without a UnionID counts as one person.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q

from events.stats.days import Days
from subscribers.models import FollowingInterval, Subscriber

__all__ = ["PeopleRow", "distinct_people"]


@dataclass(frozen=True, slots=True)
class PeopleRow:
    """A number of followers, and how many people they are; `unknown` followers have no UnionID."""

    measure: str
    followers: int
    people: int
    unknown: int


def distinct_people(days: Days) -> list[PeopleRow]:
    """Counts who followed when these days ended, who began to follow and who left in them.

    The days are those of each account's calendar.
    """
    conditions: dict[str, Q] = {
        name: Q(pk__in=[]) for name in ("following", "began_following", "left")
    }
    for accounts, begin, end in _bounds(days):
        here = Q(account__in=accounts)
        conditions["following"] |= (
            here & Q(started_at__lt=end) & (Q(ended_at=None) | Q(ended_at__gte=end))
        )
        conditions["began_following"] |= here & Q(started_at__gte=begin, started_at__lt=end)
        conditions["left"] |= here & Q(ended_at__gte=begin, ended_at__lt=end)
    return [_row(name, days, condition) for name, condition in conditions.items()]


def _bounds(days: Days) -> Iterator[tuple[list[int], datetime.datetime, datetime.datetime]]:
    for zone, accounts in days.by_zone.items():
        yield list(accounts), *days.bounds(zoneinfo.ZoneInfo(zone))


def _row(measure: str, days: Days, condition: Q) -> PeopleRow:
    intervals = FollowingInterval.objects.filter(
        condition, account=OuterRef("account"), openid=OuterRef("openid")
    )
    followers = Subscriber.objects.filter(Exists(intervals), account__in=list(days.zones))
    is_known = ~Q(unionid="")
    counted = followers.aggregate(
        followers=Count("pk"),
        known=Count("pk", filter=is_known),
        unions=Count("unionid", distinct=True, filter=is_known),
    )
    unknown = counted["followers"] - counted["known"]
    return PeopleRow(measure, counted["followers"], counted["unions"] + unknown, unknown)

"""Makes two weeks of the account's past; the same `random` makes the same past."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from django.db.models import F
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from events.simulator import Follower, Population, Push, acts, believable_times, undelivered
from events.stats.counting.rebuild import rebuild

__all__ = ["date_back", "past_acts", "people_from_before", "reaching_the_site", "unnoticed_acts"]

_LENGTH = 14 * 24 * 3600
_YEAR = 365 * 24 * 3600
_FROM_BEFORE = 120
# The share of follows and unfollows that never reached the site, for follower syncs to find.
_MISSED = 0.08
# How many people come back, and how many leave, at the very end, without a push to the site.
_UNNOTICED = 3
# The columns of a push that say when it arrived, and what the site did at which time.
_TIMES_HERE = ("received_at", "last_delivered_at", "folded_at", "processed_at", "answered_at")
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789_-"


def people_from_before(random: Random, began: int) -> list[Follower]:
    """The followers from before this site began, at `began` in Unix seconds."""
    start = began - _LENGTH
    prefix = "o" + "".join(random.choices(_LETTERS, k=5))
    return [
        Follower(
            prefix + "".join(random.choices(_LETTERS, k=22)),
            is_following=True,
            followed_at=random.randrange(start - _YEAR, start),
        )
        for _number in range(_FROM_BEFORE)
    ]


def past_acts(population: Population, random: Random, *, began: int, count: int) -> Iterator[Push]:
    """The acts of these and other people in the two weeks before `began`, in order of time."""
    times = believable_times(random, start=began - _LENGTH, end=began - 60, count=count)
    return acts(population, times)


def reaching_the_site(pushes: Iterator[Push], random: Random) -> Iterator[Push]:
    """The pushes, without a share that is lost on the way."""
    return undelivered(pushes, share=_MISSED, random=random)


def unnoticed_acts(population: Population, at: int) -> list[Push]:
    """Follows and unfollows without a push, for a follower sync to find."""
    pushes = [
        act(at) for _number in range(_UNNOTICED) for act in (population.come_back, population.leave)
    ]
    return [push for push in pushes if push is not None]


def date_back(account: OfficialAccount) -> None:
    """Sets the arrival of the past's pushes back to when their acts happened; counts them anew.

    In fact they arrive within seconds of the start. With these times, the dashboard would show no
    earlier days, and a conversation would show all answers at its end.
    """
    past = EventLog.objects.filter(
        account=account, source=EventLog.Source.CALLBACK, event_time__lt=account.created_at
    )
    late = past.filter(received_at__gte=account.created_at)
    delay = F("received_at") - F("event_time")
    late.update(**{column: F(column) - delay for column in _TIMES_HERE})
    rebuild(account.pk, past.earliest("event_time").event_time, timezone.now())

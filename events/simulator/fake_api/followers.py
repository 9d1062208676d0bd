"""The followers of an account, for the fake API's user calls."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from events.simulator.follower_acts import Follower
from events.simulator.population import Population

__all__ = ["Followers", "ListedFollowers", "NumberedFollowers", "PopulationFollowers"]


class Followers(Protocol):
    """The followers. The fake API calls these methods in any thread, under its lock."""

    def total(self) -> int:
        """Returns the number of followers now."""

    def page(self, after: str, limit: int) -> list[str]:
        """Returns OpenIDs after this one ("": from the first), in an order that never changes."""

    def find(self, openid: str) -> Follower | None:
        """Returns a present or former follower; None for an OpenID of another account."""


class ListedFollowers:
    """A list of people, to which tests can add."""

    def __init__(self, people: Iterable[Follower] = ()) -> None:
        self._people = {person.openid: person for person in people}

    def add(self, person: Follower) -> None:
        """Adds a person, or replaces the one with the same OpenID."""
        self._people[person.openid] = person

    def total(self) -> int:
        return sum(person.is_following for person in self._people.values())

    def page(self, after: str, limit: int) -> list[str]:
        return _after(
            (openid for openid, person in self._people.items() if person.is_following),
            after,
            limit,
        )

    def find(self, openid: str) -> Follower | None:
        return self._people.get(openid)


class PopulationFollowers:
    """The simulator's people: the fake API shows the same followers."""

    def __init__(self, population: Population) -> None:
        self._population = population

    def total(self) -> int:
        return self._population.following

    def page(self, after: str, limit: int) -> list[str]:
        return _after((person.openid for person in self._population.followers()), after, limit)

    def find(self, openid: str) -> Follower | None:
        return self._population.find(openid)


@dataclass(frozen=True, slots=True)
class NumberedFollowers:
    """`count` people who are computed from a number, so that a million of them need no memory.

    Their OpenIDs are `prefix` and a number, 28 characters together. Each followed `step` seconds
    after the one before, the first at `since` (Unix seconds), every third by the scene `numbered`.
    """

    count: int
    prefix: str = "oNUMBR"
    since: int = 1_600_000_000
    step: int = 60

    def total(self) -> int:
        return self.count

    def page(self, after: str, limit: int) -> list[str]:
        first = 0 if not after else self._number(after) + 1
        return [self.openid(number) for number in range(first, min(first + limit, self.count))]

    def find(self, openid: str) -> Follower | None:
        number = self._number(openid)
        if not 0 <= number < self.count:
            return None
        return Follower(
            openid,
            is_following=True,
            followed_at=self.since + number * self.step,
            follow_key="" if number % 3 else "qrscene_numbered",
        )

    def openid(self, number: int) -> str:
        """Returns the OpenID of the person with this number, from 0."""
        return f"{self.prefix}{number:0{28 - len(self.prefix)}d}"

    def _number(self, openid: str) -> int:
        digits = openid.removeprefix(self.prefix)
        is_ours = len(openid) == 28 and digits != openid and digits.isdecimal()
        return int(digits) if is_ours else -1


def _after(openids: Iterable[str], after: str, limit: int) -> list[str]:
    ordered = sorted(openids)
    first = bisect.bisect_right(ordered, after) if after else 0
    return ordered[first : first + limit]

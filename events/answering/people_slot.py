"""Gives rules and lists the facts about followers, QR codes and tags, by functions of another app.

The app that owns followers registers them, so that this app need not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from events.models import EventLog
from events.rules.decide import Follower

__all__ = [
    "People",
    "code_names",
    "follower_of",
    "followers_of",
    "people",
    "scene_names",
    "tag_names",
]


class People(Protocol):
    def followers(self, events: Sequence[EventLog]) -> list[Follower]:
        """Returns the persons who caused these stored events, in the same order.

        It makes as many queries for many events as for one.
        """
        ...

    def code_names(self, account_id: int) -> dict[str, str]:
        """Returns the names of the account's QR codes by scene, newest first."""
        ...

    def scene_names(
        self, accounts: Iterable[int], scenes: Iterable[str]
    ) -> Mapping[tuple[int, str], str]:
        """Returns the names of the QR codes with these scenes, by account and scene.

        It makes one query, and leaves out names that are the scene itself.
        """
        ...

    def tag_names(self, account_id: int) -> dict[int, str]:
        """Returns the names of the account's tags (标签) by WeChat's numbers, as last read."""
        ...


_P = TypeVar("_P", bound=People)

_known: list[People] = []


def people(known: _P) -> _P:
    """Registers these functions; the last registration counts."""
    _known.append(known)
    return known


def follower_of(event: EventLog) -> Follower:
    return followers_of([event])[0]


def followers_of(events: Sequence[EventLog]) -> list[Follower]:
    return _known[-1].followers(events) if _known else [Follower()] * len(events)


def code_names(account_id: int) -> dict[str, str]:
    return _known[-1].code_names(account_id) if _known else {}


def scene_names(accounts: Iterable[int], scenes: Iterable[str]) -> Mapping[tuple[int, str], str]:
    return _known[-1].scene_names(accounts, scenes) if _known else {}


def tag_names(account_id: int) -> dict[int, str]:
    return _known[-1].tag_names(account_id) if _known else {}

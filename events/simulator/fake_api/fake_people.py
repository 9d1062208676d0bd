"""What the simulator's people do on an account of the fake API.

They scan the codes that were made there, tap the menu that is shown there and answer the messages
that were sent from there; and what they do is known there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from events.simulator.population import Population
from events.simulator.pushes import Push
from events.simulator.repertoire import Poster, Repertoire

from .fake_account import FakeAccount

__all__ = ["acts_on", "noted", "offered"]

# Seconds until a code is scanned or a message answered.
_DELAY = 4
# Acts until people notice a new poster or another menu.
_NOTICE_AFTER = 10

_TOOLS = frozenset(
    {
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_photo_or_album",
        "pic_weixin",
        "location_select",
    }
)


def acts_on(
    account: FakeAccount,
    population: Population,
    times: Iterable[int],
    *,
    delay: float = _DELAY,
) -> Iterator[Push]:
    """What the people do at `times` (Unix seconds, ascending), who are the account's followers.

    A code for one person is scanned, and a message answered, `delay` seconds later. The
    population's repertoire becomes what the account has.
    """
    usual = population.repertoire
    return noted(account, _acts(account, population, usual, times, delay))


def noted(account: FakeAccount, pushes: Iterable[Push]) -> Iterator[Push]:
    """The pushes, each noted by the fake account on its way."""
    for push in pushes:
        account.note_push(push)
        yield push


def offered(account: FakeAccount, usual: Repertoire) -> Repertoire:
    """The codes that can be scanned and the menu that is shown, and else what is `usual`.

    Codes are scanned as often as in `usual`, where they stand there. Others are what is new in
    town: each as often as all those together.
    """
    weights = {poster.scene: poster.weight for poster in usual.posters}
    of_new_ones = sum(weights.values()) or 1
    entries = account.entries()
    return replace(
        usual,
        posters=tuple(
            Poster(poster.scene, poster.ticket, weights.get(poster.scene, of_new_ones))
            for poster in account.posters()
        ),
        menu_keys=_of("click", entries, "key"),
        urls=_of("view", entries, "url"),
        pages=_of("miniprogram", entries, "pagepath"),
        tools=tuple(
            (entry["type"], entry["key"]) for entry in entries if entry.get("type") in _TOOLS
        ),
    )


def _acts(
    account: FakeAccount,
    population: Population,
    usual: Repertoire,
    times: Iterable[int],
    delay: float,
) -> Iterator[Push]:
    for number, at in enumerate(times):
        if number % _NOTICE_AFTER == 0:
            population.repertoire = offered(account, usual)
        if (code := account.next_code(min_age=delay)) is not None:
            yield from population.scan(code, at)
        elif (letter := account.next_letter(min_age=delay)) is not None and (
            answer := population.answer(letter, at)
        ):
            yield answer
        else:
            yield population.next_push(at)


def _of(kind: str, entries: Iterable[Any], name: str) -> tuple[str, ...]:
    return tuple(entry[name] for entry in entries if entry.get("type") == kind)

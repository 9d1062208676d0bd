"""Lets the simulator's people act on an account of the fake API.

They scan its codes, tap its menu and answer its messages. The fake account records what they do.
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

# Seconds until people scan a code or answer a message.
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
    """Yields the acts of the account's followers at `times` (Unix seconds, ascending).

    They scan a code for one person, and answer a message, `delay` seconds after it was made. The
    population's repertoire changes to the account's codes and menu.
    """
    usual = population.repertoire
    return noted(account, _acts(account, population, usual, times, delay))


def noted(account: FakeAccount, pushes: Iterable[Push]) -> Iterator[Push]:
    """Yields the pushes; the fake account records each of them first."""
    for push in pushes:
        account.note_push(push)
        yield push


def offered(account: FakeAccount, usual: Repertoire) -> Repertoire:
    """Returns the `usual` repertoire with the account's codes and menu.

    A code in `usual` keeps its weight. A new code gets the weight of all those together, because
    people like new things.
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
        menu_keys=_values_of("click", entries, "key"),
        urls=_values_of("view", entries, "url"),
        pages=_values_of("miniprogram", entries, "pagepath"),
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


def _values_of(kind: str, entries: Iterable[Any], name: str) -> tuple[str, ...]:
    return tuple(entry[name] for entry in entries if entry.get("type") == kind)

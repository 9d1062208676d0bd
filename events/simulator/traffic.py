"""Turns people's acts into deliveries: when, how often, and in which order."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random

from .population import Population
from .pushes import Push
from .repertoire import Code

__all__ = ["Delivery", "acts", "believable_times", "disturbed", "paced", "undelivered"]

_DAY = 24 * 3600
# The weight of each hour of a shop's day, by its clock: quiet nights, noon and evening peaks.
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 13, 15, 12, 10, 10, 10, 11, 13, 16, 18, 17, 12, 6)

# The most places by which a delivery is held back.
_FURTHEST_BACK = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a push: the first one, or a copy."""

    push: Push
    is_duplicate: bool


def believable_times(
    random: Random, *, start: int, end: int, count: int, utc_offset: int = 8 * 3600
) -> list[int]:
    """Returns `count` ascending times from `start` to `end` (Unix seconds), as on a shop's days.

    `utc_offset` is that of the shop's clock, in seconds east of UTC.
    """
    busiest = max(_HOURS)
    times: list[int] = []
    while len(times) < count:
        at = random.randrange(start, end)
        hour = (at + utc_offset) % _DAY // 3600
        if random.uniform(0, busiest) < _HOURS[hour]:
            times.append(at)
    return sorted(times)


def acts(
    population: Population,
    times: Iterable[int],
    *,
    next_code: Callable[[], Code | None] | None = None,
    code_every: int = 25,
) -> Iterator[Push]:
    """Yields the people's acts at `times` (Unix seconds, ascending).

    Every `code_every` acts it calls `next_code` for a code that waits for its scan.
    """
    for number, at in enumerate(times, start=1):
        code = next_code() if next_code is not None and number % code_every == 0 else None
        if code is None:
            yield population.next_push(at)
        else:
            yield from population.scan(code, at)


def undelivered(pushes: Iterable[Push], *, share: float, random: Random) -> Iterator[Push]:
    """Yields the pushes without a share of the follows and unfollows, as if the site was down."""
    for push in pushes:
        comes_or_goes = push.kind in {"event.subscribe", "event.unsubscribe"}
        if not (comes_or_goes and random.random() < share):
            yield push


def disturbed(
    pushes: Iterable[Push], *, duplicates: float, reorder: float, random: Random
) -> Iterator[Delivery]:
    """Yields the deliveries of `pushes`: a share of them twice, a share of them held back.

    A second copy follows at once, while the site still serves the first, or later.
    """
    held: list[tuple[int, int, Delivery]] = []
    place = number = 0

    def hold(delivery: Delivery, back: int) -> None:
        nonlocal number
        number += 1
        heapq.heappush(held, (place + back, number, delivery))

    for push in pushes:
        place += 1
        is_late = random.random() < reorder
        hold(Delivery(push, False), random.randint(1, _FURTHEST_BACK) if is_late else 0)
        if random.random() < duplicates:
            hold(Delivery(push, True), random.choice((0, random.randint(1, _FURTHEST_BACK))))
        while held and held[0][0] <= place:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


def paced(
    deliveries: Iterable[Delivery], *, rate: float, stop: threading.Event, random: Random
) -> Iterator[Delivery]:
    """Yields `deliveries` irregularly, on average `rate` a second; ends when `stop` is set."""
    due = time.monotonic()
    for delivery in deliveries:
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        yield delivery
        due += random.expovariate(rate)

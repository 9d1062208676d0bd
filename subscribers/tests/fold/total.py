from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from subscribers.fold.rules import State, combine

__all__ = ["total"]


def total(states: Iterable[State]) -> State:
    """All statements combined; State() for none."""
    return reduce(combine, states, State())

"""Numbers that take long to count, counted seldom.

How many follow is counted, never kept as a number somewhere, so that it cannot be wrong. With
millions of followers that takes a while, and pages that refresh themselves ask all the time: then
the number is kept as long as counting it is worth.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.core.cache import caches
from django.utils import timezone

__all__ = ["CachedCount", "cached_count"]

_T = TypeVar("_T")

# Counting 20,000 rows takes some milliseconds, so that this keeps one core about half a percent
# busy, however many there are and however often the number is asked for.
_ROWS_A_SECOND = 20_000
# Seconds. What would be kept for less is counted each time: up to 100,000 rows.
_SHORTEST, _LONGEST = 5, 300


@dataclass(frozen=True, slots=True)
class CachedCount(Generic[_T]):
    """What was counted, and when; `counted_at` is None for what was counted just now."""

    value: _T
    counted_at: datetime.datetime | None = None


def cached_count(
    name: str, count: Callable[[], _T], *, rows: Callable[[_T], int]
) -> CachedCount[_T]:
    """The result of count(), or that of a moment ago under the same name, by this process's memory.

    `rows` says how many rows a result stands for. Half a million are kept for 25 seconds, and none
    for longer than five minutes.
    """
    key = f"cached_count:{hashlib.sha256(name.encode()).hexdigest()}"
    cache = caches["process"]
    kept: CachedCount[_T] | None = cache.get(key)
    if kept is not None:
        return kept
    counted_at = timezone.now()
    value = count()
    seconds = min(rows(value) / _ROWS_A_SECOND, _LONGEST)
    if seconds > _SHORTEST:
        cache.set(key, CachedCount(value, counted_at), timeout=seconds)
    return CachedCount(value)

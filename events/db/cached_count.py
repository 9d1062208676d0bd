"""A count that takes long is counted seldom.

Pages count followers and store no total, so the number cannot drift. Counting millions takes a
while, and pages that refresh themselves ask often: so the cache keeps a count, longer if it took
longer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import caches

__all__ = ["cached_count"]

_T = TypeVar("_T")

# Counting 20,000 rows takes some milliseconds, so counting keeps one core busy for about half a
# percent of the time, at any number of rows and requests.
_ROWS_A_SECOND = 20_000
# Seconds. Up to 100,000 rows are counted each time.
_SHORTEST, _LONGEST = 5, 300


def cached_count(name: str, count: Callable[[], _T], *, rows: Callable[[_T], int]) -> _T:
    """The result of count(), or a recent one under the same name from this process's cache.

    `rows` says how many rows a result stands for. Half a million are kept for 25 seconds, and none
    for longer than five minutes.
    """
    key = f"cached_count:{hashlib.sha256(name.encode()).hexdigest()}"
    cache = caches["process"]
    kept: _T | None = cache.get(key)
    if kept is not None:
        return kept
    value = count()
    seconds = min(rows(value) / _ROWS_A_SECOND, _LONGEST)
    if seconds > _SHORTEST:
        cache.set(key, value, timeout=seconds)
    return value

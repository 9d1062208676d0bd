"""Caches the results of long counts.

Pages count followers and store no total, so the number is never wrong. Counting millions takes a
while, and pages that refresh themselves count often. So the cache keeps a result, and keeps it
longer if it stands for more rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import caches

__all__ = ["cached_count"]

_T = TypeVar("_T")

# A result is kept one second for each 20,000 rows. Counting these takes some milliseconds, so
# counts use about half a percent of one core, for any number of rows and requests.
_ROWS_A_SECOND = 20_000
# Seconds. Results of up to 100,000 rows are not kept, because their time would be too short.
_SHORTEST, _LONGEST = 5, 300


def cached_count(name: str, count: Callable[[], _T], *, rows: Callable[[_T], int]) -> _T:
    """Returns count(), or its recent result under the same name from this process's cache.

    `rows` returns for how many rows a result stands. The cache keeps a result of half a million
    rows for 25 seconds, and none longer than five minutes.
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

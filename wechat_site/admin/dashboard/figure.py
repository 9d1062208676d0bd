"""The numbers at the top of the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.stats.reading.rows import Totals

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["Figure", "both"]


_FEW = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the days, and of as many days before; `url` leads to the counted rows.

    If `fewer_is_better`, the page shows a rise in the colour for worse.
    """

    name: StrOrPromise
    value: int
    before: int
    url: str
    is_signed: bool = False
    fewer_is_better: bool = False

    @property
    def difference(self) -> int:
        return self.value - self.before

    @property
    def percent(self) -> int | None:
        # A percentage of a small number says nothing.
        if self.before < _FEW or self.is_signed:
            return None
        return round(100 * self.difference / self.before)


def both(
    kinds: Mapping[str, tuple[Totals, Totals]], names: Sequence[str], measure: str
) -> tuple[int, int]:
    """The sum of a measure over some kinds, in the days and in as many days before."""
    found = [kinds[name] for name in names if name in kinds]
    now, before = (sum(getattr(pair[which], measure) for pair in found) for which in (0, 1))
    return now, before

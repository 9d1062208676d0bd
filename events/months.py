"""Calendar months in UTC: the log is partitioned, archived and removed by month."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

__all__ = ["Month"]

_WRITTEN = re.compile(r"(\d{4})-(\d{2})")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One month, written 2026-11."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime.datetime) -> Month:
        """Returns the month of an aware time."""
        moment = moment.astimezone(datetime.UTC)
        return cls(moment.year, moment.month)

    @classmethod
    def parse(cls, written: str) -> Month:
        """Reads "2026-11"; raises ValueError for another form."""
        match = _WRITTEN.fullmatch(written)
        if match is None or not 1 <= int(match[2]) <= 12:
            raise ValueError(f"{written!r} is not a month like 2026-11.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    def plus(self, months: int) -> Month:
        number = self.year * 12 + self.month - 1 + months
        return Month(number // 12, number % 12 + 1)

    @property
    def start(self) -> datetime.datetime:
        return datetime.datetime(self.year, self.month, 1, tzinfo=datetime.UTC)

    @property
    def end(self) -> datetime.datetime:
        """The first moment of the next month. Raises ValueError for the last possible month."""
        return self.plus(1).start

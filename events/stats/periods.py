"""Hours, days, weeks and months of a time zone.

A period is identified by the moment at which it begins. So the hour that the end of summer time
repeats is two periods, and a zone that is half an hour off has its own hours. Weeks begin on
Monday.
"""

from __future__ import annotations

import datetime
import enum
import functools
import zoneinfo
from collections.abc import Iterator

__all__ = [
    "Period",
    "day_in",
    "day_start",
    "days_in",
    "microseconds",
    "next_start",
    "starts_at",
    "starts_between",
    "starts_of",
]

# The offsets of all zones of our time are multiples of a quarter of an hour, so all moments of one
# quarter are in the same periods.
_QUARTER = 900
_QUARTER_OF_AN_HOUR = datetime.timedelta(seconds=_QUARTER)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_HOUR = datetime.timedelta(hours=1)
_DAY = datetime.timedelta(days=1)


class Period(enum.Enum):
    """A sort of period; the value is its name in the API."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def code(self) -> str:
        """Its code in the tables."""
        return self.value[0]


def starts_of(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> tuple[datetime.datetime, ...]:
    """Returns when a moment's hour, day, week and month begin, in UTC, in the order of Period."""
    return _starts_of_quarter(int(moment.timestamp()) // _QUARTER, zone)


def microseconds(moment: datetime.datetime) -> int:
    """Returns a moment in microseconds since 1970, which are quicker to store and compare."""
    return (moment - _EPOCH) // _MICROSECOND


def starts_at(number: int, zone: zoneinfo.ZoneInfo) -> tuple[datetime.datetime, ...]:
    """Does the same as starts_of for a moment in microseconds."""
    return _starts_of_quarter(number // (_QUARTER * 1_000_000), zone)


@functools.lru_cache(maxsize=50_000)
def _starts_of_quarter(quarter: int, zone: zoneinfo.ZoneInfo) -> tuple[datetime.datetime, ...]:
    moment = datetime.datetime.fromtimestamp(quarter * _QUARTER, datetime.UTC)
    local = moment.astimezone(zone)
    day = local.date()
    hour = moment - datetime.timedelta(minutes=local.minute)
    # If the clock changed by half an hour meanwhile, the hour begins at the change.
    while hour.astimezone(zone).utcoffset() != local.utcoffset():
        hour += _QUARTER_OF_AN_HOUR
    return (
        hour,
        day_start(day, zone),
        day_start(day - datetime.timedelta(days=day.weekday()), zone),
        day_start(day.replace(day=1), zone),
    )


def day_start(day: datetime.date, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """Returns the first moment of a day, in UTC: midnight, or later if the clock skips midnight."""
    midnight = datetime.datetime.combine(day, datetime.time(), tzinfo=zone)
    return midnight.astimezone(datetime.UTC)


def next_start(
    start: datetime.datetime, period: Period, zone: zoneinfo.ZoneInfo
) -> datetime.datetime:
    """Returns when the period that begins at `start` ends and the next one begins."""
    if period is Period.HOUR:
        return starts_of(start + _HOUR, zone)[0] if _is_plain(start, zone) else _after(start, zone)
    day = start.astimezone(zone).date()
    match period:
        case Period.DAY:
            following = day + _DAY
        case Period.WEEK:
            following = day + 7 * _DAY
        case _:
            following = (day.replace(day=1) + 31 * _DAY).replace(day=1)
    return day_start(following, zone)


def starts_between(
    first: datetime.date, last: datetime.date, period: Period, zone: zoneinfo.ZoneInfo
) -> Iterator[datetime.datetime]:
    """Yields when each period begins that overlaps the days from `first` to `last`."""
    end = day_start(last + _DAY, zone)
    start = starts_of(day_start(first, zone), zone)[list(Period).index(period)]
    while start < end:
        yield start
        start = next_start(start, period, zone)


def _is_plain(start: datetime.datetime, zone: zoneinfo.ZoneInfo) -> bool:
    """Whether the clock does not change around the hour that begins at `start`."""
    return zone.utcoffset(start.astimezone(zone)) == zone.utcoffset(
        (start + _HOUR).astimezone(zone)
    )


def _after(start: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    moment = start
    while True:
        moment += _QUARTER_OF_AN_HOUR
        following = starts_of(moment, zone)[0]
        if following != start:
            return following


def days_in(written: str) -> tuple[datetime.date, datetime.date] | None:
    """Reads the first and last day of a text such as 2026-11-01..2026-11-30; else None."""
    first, last = map(day_in, written.partition("..")[::2])
    return None if first is None or last is None else (first, last)


def day_in(written: str) -> datetime.date | None:
    """Reads a day from 1970 to 9000 such as 2026-11-01; else None.

    Near the first and the last year of the calendar, comparing days would overflow.
    """
    try:
        day = datetime.date.fromisoformat(written)
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9000 and written == day.isoformat() else None

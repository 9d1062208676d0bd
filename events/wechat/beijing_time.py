"""WeChat's days: those of its quotas and of its statistics begin at midnight in Beijing."""

from __future__ import annotations

import datetime

__all__ = ["BEIJING", "beijing_day"]

# China has had no summer time since 1991.
BEIJING = datetime.timezone(datetime.timedelta(hours=8))


def beijing_day(at: float) -> datetime.date:
    """Returns the date in Beijing at a time in Unix seconds."""
    return datetime.datetime.fromtimestamp(at, BEIJING).date()

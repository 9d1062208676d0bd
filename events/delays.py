"""How long to wait after a failure: the one table of waiting times.

Each entry has the waits after the first, second, … failure in a row.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

__all__ = [
    "CALL",
    "ERASURE",
    "EVENT",
    "MESSAGE",
    "TASK",
    "TOKEN",
    "TOKEN_REFUSED",
    "WATCHED_CALL",
    "WEBHOOK",
    "WEBHOOK_ENDPOINT",
    "Delays",
    "lasting",
]

Delays = Sequence[datetime.timedelta]


def _seconds(*seconds: int) -> Delays:
    return tuple(datetime.timedelta(seconds=number) for number in seconds)


# --- After the last wait an operator decides ------------------------------------------------------

# Menus, QR codes, profiles, follower syncs, for whose answer nobody waits.
CALL = _seconds(30, 120, 600, 3600)
# The one-time code of a binding: a user waits at the page, and the code is valid for ten minutes.
WATCHED_CALL = _seconds(2, 5, 15, 60, 120)
# A message: its window may last only a minute.
MESSAGE = _seconds(2, 8, 30)
# An event that could not be folded or answered.
EVENT = _seconds(30, 120, 600, 3600, 6 * 3600)
# A delivery to a webhook: together three days.
WEBHOOK = _seconds(
    *(5, 30, 120, 600, 1800, 3600), *(3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
)

# --- The last wait repeats ------------------------------------------------------------------------

# A new access token, while WeChat is busy or unreachable.
TOKEN = _seconds(5, 15, 60, 300, 900, 3600)
# A new access token, after a refusal that only a person can cure, such as a wrong AppSecret.
TOKEN_REFUSED = _seconds(60, 300, 900, 3600)
# The erasure of a person, which must succeed some day.
ERASURE = _seconds(600)
# A webhook whose deliveries fail one after the other.
WEBHOOK_ENDPOINT = _seconds(5, 15, 60, 300)
# A scheduled task of the worker.
TASK = _seconds(60, 120, 240, 480, 960, 1920, 3600)


def lasting(delays: Delays, failures: int) -> datetime.timedelta:
    """The wait after the given number of failures in a row, 1 or more; the last one repeats."""
    return delays[min(failures, len(delays)) - 1]

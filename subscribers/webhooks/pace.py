"""Leaves the processors to the callback while there is more to run than they can take.

Webhooks of a busy hour can wait a minute; a push that is not answered in time is pushed again. The
kernel's own count of what is ready to run says so at once, where the load average takes a minute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["paced"]

_COUNTS = Path("/proc/loadavg")
# While the machine is busy, webhooks rest so many times as long as they worked.
_REST = 9
# Seconds; a worker that stops does not wait longer.
_LONGEST = 1.5


@contextmanager
def paced() -> Iterator[None]:
    """After the block rests for as long as the machine's business demands."""
    began = time.monotonic()
    yield
    if _is_busy():
        time.sleep(min(_LONGEST, _REST * (time.monotonic() - began)))


def _is_busy() -> bool:
    """Whether more is ready to run, this thread not counted, than there are processors."""
    try:
        running = int(_COUNTS.read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return False  # another system than Linux
    return running - 1 >= (os.cpu_count() or 1)

"""Slows webhooks down while the processors are busy, so that the callback has them.

Webhooks can wait a minute in a busy hour, but WeChat repeats a push that is not answered in time.
The kernel's count of threads that are ready to run shows this at once; the load average takes a
minute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["paced"]

_LOADAVG = Path("/proc/loadavg")
# While the machine is busy, webhooks rest this many times as long as they worked.
_REST_FACTOR = 9
# In seconds: the longest rest, and so the longest wait for a worker that is to stop.
_LONGEST_REST = 1.5


@contextmanager
def paced() -> Iterator[None]:
    """Rests after the block, if the machine is busy."""
    began = time.monotonic()
    yield
    if _is_busy():
        time.sleep(min(_LONGEST_REST, _REST_FACTOR * (time.monotonic() - began)))


def _is_busy() -> bool:
    """Whether at least as many other threads are ready to run as there are processors."""
    try:
        running = int(_LOADAVG.read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return False  # another system than Linux
    return running - 1 >= (os.cpu_count() or 1)

"""Signal handlers that may take locks.

Python runs a signal handler in the main thread, between two of its steps. If the signal comes while
the main thread is inside `Event.wait()` and holds the event's lock, `Event.set()` in the handler
waits for ever. So the handler only puts the number into a `SimpleQueue`, which is reentrant, and a
thread calls the function.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType

__all__ = ["on_signals"]


def on_signals(functions: Mapping[signal.Signals, Callable[[], object]]) -> None:
    """Calls a function, in a thread, each time its signal arrives. Call it in the main thread."""
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()

    def note(number: int, frame: FrameType | None) -> None:
        arrived.put(number)

    def call() -> None:
        while True:
            functions[signal.Signals(arrived.get())]()

    threading.Thread(target=call, name="signals", daemon=True).start()
    for number in functions:
        signal.signal(number, note)

"""Binds each of the web server's processes to a processor of its own, where they are few.

A process's threads hand Python's lock to each other for every push, and that costs half as much on
one processor as across two. So where there are no more processors than processes, each process
stays on one of them (docs/performance.md); elsewhere the kernel finds better places.
"""

from __future__ import annotations

import os
import socket
import sys

from wechat_site.serving.supervisor import WEB_PROCESSES

__all__ = ["stay_on_one_processor"]

# Reloads that overlap.
_MOST_TURNS = 10


def stay_on_one_processor() -> socket.socket | None:
    """Binds this process's threads, those to come, to a processor that no sibling has chosen.

    The socket is the claim to it, held to the end of the process: of an abstract name there is one
    owner. While a reload replaces the processes there are two for each processor.
    """
    if sys.platform != "linux":
        return None
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > WEB_PROCESSES:
        return None
    for turn in range(_MOST_TURNS):
        for processor in processors:
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0wechat-site-{os.getppid()}-{turn}-{processor}")
            except OSError:
                claim.close()
                continue
            os.sched_setaffinity(0, {processor})
            return claim
    return None

"""Binds each process of the web server to a processor of its own, on a machine with few processors.

For every push, the threads of a process pass Python's lock to each other, and that costs half as
much on one processor as across two. So if there are no more processors than processes, each process
stays on one of them (docs/performance.md); otherwise the kernel distributes them better.
"""

from __future__ import annotations

import os
import socket
import sys

from wechat_site.serving.supervisor import WEB_PROCESSES

__all__ = ["stay_on_one_processor"]

# How many reloads may overlap.
_MOST_TURNS = 10


def stay_on_one_processor() -> socket.socket | None:
    """Binds this thread, and threads that it starts, to a processor that no sibling has chosen.

    The returned socket is the claim to the processor, since only one process can bind an abstract
    name; hold it to the end of the process. During a reload, two processes share each processor.
    Returns None, and changes nothing, if there are more processors than web processes.
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

"""Ends a process with its parent, even if SIGKILL leaves the parent no time to stop others."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["PARENT", "end_with_parent"]

# The environment variable in which `manage.py serve` tells its children its process id.
PARENT = "WECHAT_SITE_PARENT"

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int | None = None) -> None:
    """Has the kernel kill this process when `parent` ends; by default the one in PARENT, if any.

    Only Linux can do that; on other systems this does nothing.
    """
    named = os.environ.get(PARENT, "")
    if parent is None and named.isdigit():
        parent = int(named)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # The parent had ended before the call above.
        os.kill(os.getpid(), signal.SIGKILL)

"""Ends a process with its parent, however that ended: SIGKILL leaves nobody time to stop others."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["PARENT", "end_with_parent"]

# The environment variable by which `manage.py serve` names itself to its children.
PARENT = "WECHAT_SITE_PARENT"

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int | None = None) -> None:
    """Has the kernel kill this process when `parent` ends; by default the PARENT, if there is one.

    Only Linux can do that; elsewhere nothing happens.
    """
    named = os.environ.get(PARENT, "")
    if parent is None and named.isdigit():
        parent = int(named)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before this was said.
        os.kill(os.getpid(), signal.SIGKILL)

"""Reads the processor time of process trees from Linux's /proc (proc_pid_stat(5))."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["parent_of", "tree_seconds"]

_TICKS = os.sysconf("SC_CLK_TCK")


def tree_seconds(root: int) -> float:
    """Seconds of user and system time of a process and its descendants, with those that ended.

    A parent that waited for an ended process has its times, so the sum never falls. The unit is a
    tick, mostly 10 ms.
    """
    stats = dict(_all_stats())
    children: dict[int, list[int]] = {}
    for pid, (parent, _ticks) in stats.items():
        children.setdefault(parent, []).append(pid)
    ticks, pending = 0, [root]
    while pending:
        pid = pending.pop()
        ticks += stats[pid][1] if pid in stats else 0
        pending += children.get(pid, [])
    return ticks / _TICKS


def parent_of(pid: int) -> int:
    """The process that started this one."""
    return _stat(pid)[0]


def _all_stats() -> list[tuple[int, tuple[int, int]]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), _stat(int(entry.name))))
            except (FileNotFoundError, ProcessLookupError):
                continue  # the process has just ended
    return found


def _stat(pid: int) -> tuple[int, int]:
    """Parent, and the ticks of utime, stime, cutime and cstime."""
    # The name in parentheses may itself contain blanks and parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), sum(int(value) for value in fields[11:15])

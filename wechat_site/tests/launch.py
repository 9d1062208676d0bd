"""What tests need that start the site in processes of its own."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["PRODUCTION", "ROOT", "children_of", "end", "free_port", "is_free", "processes_with"]

ROOT = Path(__file__).resolve().parents[2]

# The least that a start with DEBUG off asks for.
PRODUCTION = {
    "DEBUG": "False",
    "SECRET_KEY": "k3y-" * 4 + "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGH",
    "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(range(32))).decode(),
    "ALLOWED_HOSTS": "wechat.example.com",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[Any]) -> None:
    """Ends a process that supervises others: by asking, or, where that takes long, with them."""
    if process.poll() is not None:
        return
    everybody = {process.pid}
    while more := set().union(*map(children_of, everybody)) - everybody:
        everybody |= more
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        for pid in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def children_of(pid: int) -> set[int]:
    """The processes that this one has begun."""
    return {child for child, parent, _ in _processes() if parent == pid}


def processes_with(text: str) -> set[int]:
    """The processes with this text in their arguments."""
    return {pid for pid, _, arguments in _processes() if text in arguments}


def _processes() -> Iterator[tuple[int, int, str]]:
    """Each process of this machine, its parent and its arguments."""
    for folder in Path("/proc").iterdir():
        # Some end meanwhile.
        with contextlib.suppress(OSError):
            if folder.name.isdigit():
                # The name, in brackets, may hold anything.
                after_name = (folder / "stat").read_text().rpartition(")")[2].split()
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace")
                yield int(folder.name), int(after_name[1]), arguments


def is_free(port: int) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0

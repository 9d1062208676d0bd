"""A Redis of its own for tests that need a real one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["ask_redis", "running_redis"]


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Starts one on a free port; its URL. Without the program the test fails in CI, else skips."""
    server = shutil.which("redis-server")
    if server is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no Redis (Debian: apt-get install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(server), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while ask_redis(port, "PING") != "+PONG":
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def ask_redis(port: int, command: str) -> str:
    """The first line of its answer; "" if there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(100).decode().strip()
    except OSError:
        return ""

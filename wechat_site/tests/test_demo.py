"""`manage.py demo`: traffic from the first moment, and nothing left behind when it ends."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wechat_site.tests.launch import ROOT, free_port, is_free

pytestmark = pytest.mark.slow


def start(port: int, database: Path) -> tuple[subprocess.Popen[str], str]:
    """A demo that has said where it is, and what it said."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", str(port)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{database}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    while "Ctrl-C" not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    return process, printed


def stop(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    assert process.wait(timeout=30) == 0
    assert process.stdout is not None
    process.stdout.close()


def events(database: Path) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    [count] = connection.execute("SELECT count(*) FROM events_eventlog").fetchone()
    connection.close()
    return int(count)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_demo_fills_goes_on_and_leaves_nothing_behind(tmp_path):
    port, database = free_port(), tmp_path / "demo.sqlite3"
    process, printed = start(port, database)
    wait_for(lambda: events(database) > 100)
    stop(process, signal.SIGINT)
    assert is_free(port)

    before = events(database)
    process, again = start(port, database)
    # The account stays, so that its callback URL does.
    assert re.search(r"/wechat/.*", printed)[0] == re.search(r"/wechat/.*", again)[0]
    wait_for(lambda: events(database) > before)
    # As when the terminal is closed.
    stop(process, signal.SIGHUP)
    assert is_free(port)

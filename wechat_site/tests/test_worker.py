from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from wechat_site.tests.launch import ROOT
from wechat_site.worker import Duty, work


@pytest.mark.django_db
def test_a_failing_duty_does_not_keep_the_others_from_their_work(caplog):
    stop = threading.Event()
    served = []

    def fails() -> int:
        raise RuntimeError("no")

    def works() -> int:
        served.append(1)
        if len(served) == 3:
            stop.set()
        return 1

    work(stop, duties=[Duty("fails", fails, every=0), Duty("works", works, every=0)])

    assert len(served) == 3
    assert "Duty 'fails' failed" in caplog.text


@pytest.mark.django_db
def test_a_duty_waits_for_its_pause():
    stop = threading.Event()
    often, seldom = [], []

    def serve_often() -> int:
        often.append(1)
        if len(often) == 4:
            stop.set()
        return 0

    work(
        stop,
        duties=[
            Duty("seldom", lambda: seldom.append(1) or 0, every=3600),
            Duty("often", serve_often, every=0),
        ],
    )

    assert len(seldom) == 1


def test_sigterm_ends_the_worker_cleanly(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{tmp_path}/worker.sqlite3",
        "PYTHONUNBUFFERED": "1",
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True
    )
    worker = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT, env=environment)
    time.sleep(2)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=10) == 0

"""The running site under WeChat's side of the protocol: nothing acknowledged is ever lost.

Real server processes on a database of their own, posted to over HTTP, killed without warning.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from wechat_site.tests.launch import ROOT, free_port

pytestmark = pytest.mark.slow


class Site:
    """A web server and a worker, as a deployment would run them."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url}
        self.is_postgres = database_url.startswith("postgres")
        self.log = folder / "server.log"
        self.acknowledged = folder / "acknowledged.jsonl"
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.manage("migrate", "-v0")
        self.manage(
            *("add_account", "load", "--original-id", "gh_5f2c81d0a7be", "--mode", "safe"),
            *("--app-id", "wx3a9f0c27d81be645", "--token", "Rk7mWechatTok2026"),
            *("--aes-key", "mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD"),
        )
        rule = (
            "from events.models import *; ReplyRule.objects.create("
            "account=OfficialAccount.objects.get(), trigger='event.click', content='好的 😀')"
        )
        self.manage("shell", "-v0", "-c", rule)

    def manage(self, *arguments: str, code: int = 0) -> str:
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_web(self) -> subprocess.Popen[bytes]:
        web = self.start(
            *("-m", "granian", "--interface", "wsgi", "wechat_site.wsgi:application"),
            *("--port", str(self.port), "--blocking-threads", "4", "--no-ws"),
            *("--workers", "2" if self.is_postgres else "1"),
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                    return web
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"the site does not answer: {self.log.read_text()}")

    def simulation(self, *options: str) -> list[str]:
        return [
            *("manage.py", "simulate", "--url", f"http://127.0.0.1:{self.port}/"),
            *("--account", "load", "--seed", "load", "--concurrency", "16"),
            *("--acknowledged", str(self.acknowledged), *options),
        ]

    def rows(self) -> list[dict[str, str]]:
        code = (
            "import json; from events.models import EventLog; "
            "print(json.dumps(list(EventLog.objects.values('openid', 'kind', 'event_key', 'msg_id',"
            "'status', 'event_time', 'delivery_count')), default=lambda t: int(t.timestamp())))"
        )
        rows: list[dict[str, str]] = json.loads(self.manage("shell", "-v0", "-c", code))
        return rows

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    server = os.environ.get("DATABASE_URL", "")
    if server.startswith("postgres"):
        name = f"load_{os.getpid()}_{time.monotonic_ns()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        site = Site(re.sub(r"/[^/]*$", f"/{name}", server), tmp_path)
        yield site
        site.stop()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    else:
        site = Site(f"sqlite:///{tmp_path}/load.sqlite3", tmp_path)
        yield site
        site.stop()


def identity(row: dict[str, str], time_field: str) -> tuple[object, ...]:
    """What tells a push apart. In events MsgID is a job's number, which the record leaves out."""
    msg_id = "" if row["kind"].startswith("event.") else row["msg_id"]
    return (row["openid"], int(row[time_field]), row["kind"], row["event_key"], str(msg_id))


def check_nothing_lost(site: Site) -> list[dict[str, str]]:
    acknowledged = [json.loads(line) for line in site.acknowledged.read_text().splitlines()]
    rows = site.rows()
    stored = Counter(identity(row, "event_time") for row in rows)
    assert max(stored.values()) == 1
    missing = [line for line in acknowledged if identity(line, "create_time") not in stored]
    assert missing == []
    assert len(acknowledged) > 0
    site.manage("rebuild_subscribers", "--check")
    return rows


def test_ten_thousand_deliveries_are_each_in_the_log_once(site: Site):
    site.start_web()
    output = site.manage(
        *site.simulation("--count", "9500", "--duplicates", "0.05", "--reorder", "0.1")[1:]
    )
    print(output)
    tally = dict(re.findall(r"(\w+(?: \w+)?) (\d+)[,.]", output))
    assert int(tally["sent"]) > 9800
    assert {tally[name] for name in ("retried", "refused", "timed out", "mismatches", "lost")} == {
        "0"
    }
    assert tally["answered"] == tally["sent"]
    assert int(tally["replied"]) > 1000
    rows = check_nothing_lost(site)
    assert len(rows) == 9500
    assert sum(int(row["delivery_count"]) for row in rows) == int(tally["sent"])
    assert {row["status"] for row in rows} == {"processed"}
    log = site.log.read_text()
    assert "database is locked" not in log
    assert "Traceback" not in log


def test_five_kills_lose_nothing_that_was_acknowledged(site: Site):
    web = site.start_web()
    traffic = site.start(*site.simulation("--count", "2500", "--tolerate-loss"))
    for _ in range(5):
        time.sleep(1.2)
        os.killpg(web.pid, signal.SIGKILL)
        web.wait()
        web = site.start_web()
    assert traffic.wait(timeout=200) == 0, site.log.read_text()[-3000:]

    # What a killed process left half done is due once WeChat's own retries are over.
    site.start("manage.py", "worker")
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        rows = site.rows()
        if not any(row["status"] in {"received", "failed"} for row in rows):
            break
        time.sleep(1)
    rows = check_nothing_lost(site)
    assert {row["status"] for row in rows} == {"processed"}


def test_a_database_that_is_locked_for_a_while_is_refused_in_time_and_tried_again(site: Site):
    if site.is_postgres:
        pytest.skip("the callback's tests lock PostgreSQL's table")
    site.start_web()
    other = sqlite3.connect(site.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    other.execute("BEGIN IMMEDIATE")
    traffic = site.start(*site.simulation("--count", "1", "--duplicates", "0"))
    time.sleep(4.5)
    other.rollback()
    other.close()
    assert traffic.wait(timeout=30) == 0
    # 503 within WeChat's deadline, and its next try is stored
    tally = site.log.read_text()
    assert "refused 1" in tally
    assert "timed out 0" in tally
    assert "lost 0" in tally
    assert len(check_nothing_lost(site)) == 1

"""A running site for tests: real server processes on a database of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from wechat_site.serving.supervisor import web_server
from wechat_site.tests.launch import ROOT, free_port

__all__ = ["LIMIT", "Site", "check_nothing_lost", "database_of_its_own", "site_of_its_own"]

# Seconds; only what hangs takes so long, however busy the machine is.
LIMIT = 300


class Site:
    """A web server and a worker, as a deployment would run them."""

    def __init__(self, database_url: str, folder: Path, **environment: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            # Whatever the hour is.
            "FOLLOWER_SYNC_HOUR": "",
            "DATABASE_URL": database_url,
            "PRIVATE_FILES_DIR": str(folder / "files"),
            **environment,
        }
        self.is_postgres = database_url.startswith("postgres")
        self.log = folder / "server.log"
        self.acknowledged = folder / "acknowledged.jsonl"
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Makes an account and a rule that answers menu clicks."""
        self.manage(
            *("add_account", "load", "--original-id", "gh_5f2c81d0a7be", "--mode", "safe"),
            *("--app-id", "wx3a9f0c27d81be645", "--token", "Rk7mWechatTok2026"),
            *("--aes-key", "mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD"),
        )
        rule = (
            "from events.models import *; from events.testing import make_rule; "
            "make_rule(OfficialAccount.objects.get(), 'event.click', content='好的 😀')"
        )
        self.manage("shell", "-v0", "-c", rule)

    def manage(self, *arguments: str, code: int = 0, timeout: float = LIMIT) -> str:
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
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
        web = self.start(*web_server("127.0.0.1", self.port)[1:])
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and web.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=60):
                    return web
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"the site does not answer: {self.log.read_text()}")

    def wait_for_socket(self, path: Path) -> None:
        """Returns when a web server listens on this Unix socket."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
                probe.connect(str(path))
                return
            time.sleep(0.05)
        pytest.fail(f"the site does not listen: {self.log.read_text()}")

    def simulation(self, *options: str) -> list[str]:
        return [
            *("manage.py", "simulate", "--url", f"http://127.0.0.1:{self.port}/"),
            *("--account", "load", "--seed", "load", "--concurrency", "16"),
            *("--acknowledged", str(self.acknowledged), *options),
        ]

    def wait_until(self, happened: Callable[[], object], *, every: float = 0.05) -> None:
        deadline = time.monotonic() + LIMIT
        while not happened():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(every)

    def wait_for_acknowledgements(self, more: int) -> None:
        """Returns when so many more pushes have been acknowledged."""

        def count() -> int:
            return self.acknowledged.read_text().count("\n") if self.acknowledged.exists() else 0

        wanted = count() + more
        self.wait_until(lambda: count() >= wanted)

    def wait_for_outcomes(self) -> None:
        """Returns when the worker has brought all events to their outcome."""
        open_ones = {"received", "failed"}
        self.wait_until(lambda: not any(row["status"] in open_ones for row in self.rows()), every=1)

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
            # Its children may outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def identity(row: dict[str, str], time_field: str) -> tuple[object, ...]:
    """What tells a push apart. In events MsgID is a job's number, which the record leaves out."""
    msg_id = "" if row["kind"].startswith("event.") else row["msg_id"]
    return (row["openid"], int(row[time_field]), row["kind"], row["event_key"], str(msg_id))


@contextmanager
def database_of_its_own(folder: Path, copied: str = "") -> Iterator[str]:
    """The address of a new database, or of a copy of the one at the address `copied`."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        file = folder / "load.sqlite3"
        if copied:
            shutil.copyfile(copied.removeprefix("sqlite:///"), file)
        yield f"sqlite:///{file}"
        return
    name = f"load_{os.getpid()}_{time.monotonic_ns()}"
    template = f" TEMPLATE {copied.rpartition('/')[2]}" if copied else ""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{template}")
    try:
        yield re.sub(r"/[^/]*$", f"/{name}", server)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def site_of_its_own(folder: Path, prepared: str = "", **environment: str) -> Iterator[Site]:
    """A site on a copy of the prepared database: on the server of DATABASE_URL, or in `folder`.

    Without one, for benchmarks, it is made here, which takes seconds.
    """
    with database_of_its_own(folder, prepared) as url:
        site = Site(url, folder, **environment)
        try:
            if not prepared:
                site.manage("migrate", "-v0")
                site.prepare()
            yield site
        finally:
            site.stop()


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

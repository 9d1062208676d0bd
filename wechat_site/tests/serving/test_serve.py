"""`manage.py serve` as a deployment starts it, in the production configuration."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from wechat_site.tests.launch import (
    PRODUCTION,
    ROOT,
    children_of,
    end,
    free_port,
    is_free,
    processes_with,
)

pytestmark = [pytest.mark.any_database, pytest.mark.slow]


def get(port: int, path: str, host: str = "wechat.example.com", **headers: str):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path, headers={"Host": host, **headers})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


@pytest.fixture
def site(tmp_path, empty_sqlite_file):
    port = free_port()
    file = shutil.copyfile(empty_sqlite_file, tmp_path / "site.sqlite3")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)],
        cwd=ROOT,
        env={
            **PRODUCTION,
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{file}",
            "BEHIND_TLS_PROXY": "True",
            "METRICS_TOKEN": "read",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    while "add_account" not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    yield port, process
    end(process)
    process.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's end")
def test_production_serves_pages_health_and_callback_and_when_killed_leaves_no_process(site):
    """The kernel kills it when memory ends: nobody has time to stop the others."""
    port, process = site
    assert get(port, "/readyz")[1] == "ok"

    # WeChat follows no redirect, browsers are sent to HTTPS
    for _ in range(20):
        assert get(port, "/wechat/nobody/")[0].status == 403
    # whichever of the web processes answers, it knows what all have counted
    metrics = [get(port, "/metrics", Authorization="Bearer read")[1] for _ in range(10)]
    refused = 'wechat_callback_refusals_total{reason="unknown_account"} 20.0'
    assert [refused in text for text in metrics] == [True] * 10

    response, _ = get(port, "/admin/login/")
    assert (response.status, response.headers["Location"][:8]) == (301, "https://")

    through_proxy = {"X-Forwarded-Proto": "https"}
    response, page = get(port, "/account/login/", **through_proxy)
    assert response.status == 200
    assert "Strict-Transport-Security" in response.headers
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    stylesheets = re.findall(r'href="([^"]+\.css)"', page)
    assert stylesheets
    for stylesheet in stylesheets:
        assert get(port, stylesheet, **through_proxy)[0].status == 200

    assert get(port, "/admin/login/", host="evil.example", **through_proxy)[0].status == 400
    response, page = get(port, "/no/such/page", **through_proxy)
    assert response.status == 404
    assert "SECRET_KEY" not in page

    everybody: set[int] = set()
    deadline = time.monotonic() + 60
    # the web server, its two processes, and the worker
    while len(everybody) < 4:
        assert time.monotonic() < deadline
        children = children_of(process.pid)
        everybody = children.union(*map(children_of, children))
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while not is_free(port) or any(map(is_alive, everybody)):
        assert time.monotonic() < deadline, [pid for pid in everybody if is_alive(pid)]
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_second_site_on_one_sqlite_file_is_refused(tmp_path):
    file = tmp_path / "site.sqlite3"
    with open(f"{file}.site", "w") as claim:
        claim.write("12345")
        claim.flush()
        fcntl.flock(claim, fcntl.LOCK_EX)
        result = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(free_port())],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{file}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert f"Another site runs on {file}: process 12345" in result.stderr
    assert not file.exists()


def test_a_taken_port_is_said_plainly():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(taken.getsockname()[1])],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert result.returncode == 1
    assert "cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


def ask_over(path: str) -> int:
    """The status of /readyz, asked on a connection of its own."""
    connection = http.client.HTTPConnection("localhost", timeout=120)
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(120)
        connection.sock.connect(path)
        connection.request("GET", "/readyz", headers={"Connection": "close"})
        return connection.getresponse().status


def test_a_reload_refuses_no_connection_and_the_end_is_clean(tmp_path, empty_sqlite_file):
    """A connection that the ending process had accepted may be closed unanswered; the next is not.

    That is what a proxy in front does at once, as docs/deployment.md has it.
    """
    path = str(tmp_path / "site.sock")
    file = shutil.copyfile(empty_sqlite_file, tmp_path / "site.sqlite3")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--uds", path],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{file}",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    statuses: Counter[int] = Counter()
    failures: list[Exception] = []
    ending = threading.Event()

    def ask_on_and_on() -> None:
        while not ending.is_set():
            try:
                try:
                    statuses[ask_over(path)] += 1
                except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                    statuses[ask_over(path)] += 1
            except (OSError, http.client.HTTPException) as failure:
                failures.append(failure)

    try:
        assert process.stdout is not None
        while "add_account" not in process.stdout.readline():
            assert process.poll() is None
        threads = [threading.Thread(target=ask_on_and_on) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            before = processes_with(path)
            process.send_signal(signal.SIGUSR1)
            deadline = time.monotonic() + 120
            # the server stays, the process that answers is another one
            while before <= (now := processes_with(path)) or now <= before:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        ending.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
        assert not processes_with(path)
    finally:
        ending.set()
        end(process)
        process.stdout.close()
    assert failures == []
    assert set(statuses) == {200}
    assert statuses[200] > 100

"""`manage.py demo`: a platform and people who use it, and nothing left behind when it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from wechat_site.tests.launch import PRODUCTION, ROOT, end, free_port, is_free

pytestmark = [pytest.mark.any_database, pytest.mark.slow]

# Seconds; only what hangs takes so long, however busy the machine is.
LIMIT = 300


class Demo:
    """A demo in a process of its own, that has said where it is."""

    def __init__(self, database: Path, *options: str) -> None:
        self.database = database
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(self.port), *options],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": f"sqlite:///{database}",
                # One sync more at night would be one too many.
                "FOLLOWER_SYNC_HOUR": "",
            },
            stdout=subprocess.PIPE,
            text=True,
            # Under nohup the tests do not hear this signal, and the demo would not either.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        assert self.process.stdout is not None
        self.printed = ""
        while "Ctrl-C" not in self.printed:
            line = self.process.stdout.readline()
            assert line, self.printed
            self.printed += line
        self.platform = self.said(r"Platform +(http\S+)")
        self.callback = self.said(r"/wechat/(\S+)")

    def said(self, pattern: str) -> str:
        found = re.search(pattern, self.printed)
        assert found, self.printed
        return found[1]

    def stop(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        assert self.process.wait(timeout=LIMIT) == 0
        assert is_free(self.port)
        assert is_free(int(self.platform.rpartition(":")[2]))

    def ask(self, question: str, **fields: str) -> Any:
        url = f"{self.platform}/__control__/{question}?{urlencode(fields)}"
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)

    def rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=60)
        rows = connection.execute(query).fetchall()
        connection.close()
        return rows

    def count(self, table: str, condition: str = "1") -> int:
        [[number]] = self.rows(f"SELECT count(*) FROM {table} WHERE {condition}")
        return int(number)

    def wait_for(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.2)


@contextmanager
def demo(database: Path, *options: str) -> Iterator[Demo]:
    running = Demo(database, *options)
    try:
        yield running
    finally:
        end(running.process)
        assert running.process.stdout is not None
        running.process.stdout.close()


def test_codes_are_made_scanned_and_bound_and_all_else_goes_round(tmp_path, empty_sqlite_file):
    database = shutil.copyfile(empty_sqlite_file, tmp_path / "demo.sqlite3")
    with demo(database, "--past", "300", "--rate", "12") as running:
        finished = "state = 'finished' AND new > 0 AND missed_follows + missed_unfollows > 0"
        running.wait_for(lambda: running.count("subscribers_followersync", finished))
        running.wait_for(lambda: running.count("subscribers_binding") >= 3)
        running.wait_for(lambda: running.count("subscribers_outgoingmessage", "state = 'sent'"))
        running.wait_for(
            lambda: running.count("subscribers_subscriber", "profile_synced_at IS NOT NULL") > 20
        )
        # The past seems to have arrived when it happened, and is counted so.
        began = "(SELECT created_at FROM events_officialaccount)"
        past = f"source = 'callback' AND event_time < {began}"
        assert running.count("events_eventlog", past) > 200
        assert not running.count("events_eventlog", f"{past} AND received_at >= {began}")
        counted = f"SELECT coalesce(sum(received), 0) FROM events_healthcount WHERE start < {began}"
        here = running.count("events_eventlog", past)
        running.wait_for(lambda: running.rows(counted)[0][0] >= here)
        # WeChat's figures know the past too.
        running.wait_for(lambda: running.count("subscribers_wechatday", "new > 0"))
        # What one person is shown and what hangs on walls was all made by the platform.
        ready = "ticket != '' AND url LIKE 'http%' AND due_at IS NULL"
        assert running.count("subscribers_qrscene", ready) == 6
        [[scene, ticket]] = running.rows(
            "SELECT scene, ticket FROM subscribers_qrscene WHERE name = '地铁海报'"
        )
        assert running.ask("scene", ticket=ticket) == {"scene": scene}
        assert running.count("events_eventlog", f"scene = '{scene}' AND ticket = '{ticket}'")
        # The menu that was found there is followed by one of ours.
        versions = running.rows(
            "SELECT origin FROM events_menuversion WHERE published_at IS NOT NULL ORDER BY id"
        )
        assert versions == [("wechat",), ("site",)]
        app_id = running.rows("SELECT app_id FROM events_officialaccount")[0][0]
        menu = running.ask("menu", appid=app_id)
        assert "MENU_COUPONS" in json.dumps(menu)
        sent = running.count("subscribers_outgoingmessage", "state = 'sent'")
        assert len(running.ask("sent", appid=app_id)) >= sent > 0
        # A second start goes on: nothing is made twice, and the platform knows what it made.
        running.stop(signal.SIGINT)
        events, callback = running.count("events_eventlog"), running.callback

    with demo(database, "--rate", "12") as running:
        # The account stays, so that its callback URL does.
        assert running.callback == callback
        running.wait_for(lambda: running.count("events_eventlog") > events + 20)
        assert running.ask("scene", ticket=ticket) == {"scene": scene}
        assert running.count("subscribers_qrscene") == 6
        assert running.count("subscribers_followersync") == 1
        assert running.count("events_menuversion") == 2
        # As when the terminal is closed.
        running.stop(signal.SIGHUP)


def test_a_past_that_was_interrupted_is_completed(tmp_path, empty_sqlite_file):
    database = shutil.copyfile(empty_sqlite_file, tmp_path / "demo.sqlite3")
    with demo(database, "--past", "2000") as running:
        running.wait_for(lambda: running.count("events_eventlog") > 50)
        running.stop(signal.SIGTERM)
        before = running.count("events_eventlog")
        assert before < 1700
    with demo(database, "--past", "2000", "--rate", "12") as running:
        present = "event_time >= (SELECT created_at FROM events_officialaccount)"
        # All but the follows and unfollows that were lost, and of two weeks.
        past = f"source = 'callback' AND NOT {present}"
        running.wait_for(lambda: running.count("events_eventlog", past) > 1900)
        running.wait_for(lambda: running.count("events_eventlog", present))
        running.stop(signal.SIGTERM)
        # What had arrived arrived again, as the same pushes.
        again = running.count("events_eventlog", f"id <= {before} AND delivery_count > 1")
        assert again == running.count("events_eventlog", f"id <= {before}")


def test_a_production_site_is_no_place_for_it():
    refused = subprocess.run(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "DEBUG" in refused.stderr

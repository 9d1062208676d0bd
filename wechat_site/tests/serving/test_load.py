"""The running site under WeChat's side of the protocol: nothing acknowledged is ever lost.

Real server processes on a database of their own, posted to over HTTP, killed without warning.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time

import pytest

from wechat_site.tests.site import Site, check_nothing_lost

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("batch", ["1", "2", "500"])
def test_five_kills_lose_nothing_that_was_acknowledged(site: Site, batch: str):
    site.environment["CALLBACK_BATCH"] = batch
    web = site.start_web()
    traffic = site.start(*site.simulation("--count", "5000", "--reorder", "0.1", "--tolerate-loss"))
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

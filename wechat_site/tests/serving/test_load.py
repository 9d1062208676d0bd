"""The running site under WeChat's side of the protocol: nothing acknowledged is ever lost.

Real server processes on a database of their own, posted to over HTTP, killed without warning.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3

import pytest

from wechat_site.tests.site import LIMIT, Site, check_nothing_lost

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


def test_four_kills_lose_nothing_that_was_acknowledged(site: Site):
    """Whether each push has a commit of its own or shares it with all that wait."""
    traffic = site.start(
        *site.simulation("--forever", "--rate", "300", "--reorder", "0.1", "--tolerate-loss")
    )
    for batch in ("1", "500") * 2:
        site.environment["CALLBACK_BATCH"] = batch
        web = site.start_web()
        site.wait_for_acknowledgements(300)
        os.killpg(web.pid, signal.SIGKILL)
        web.wait()
    site.start_web()
    site.wait_for_acknowledgements(100)
    traffic.send_signal(signal.SIGTERM)
    assert traffic.wait(timeout=LIMIT) == 0, site.log.read_text()[-3000:]

    # What a killed process left half done is due once WeChat's own retries are over.
    site.start("manage.py", "worker")
    site.wait_for_outcomes()
    rows = check_nothing_lost(site)
    assert {row["status"] for row in rows} == {"processed"}


def test_while_the_database_is_locked_a_push_is_refused_and_tried_again(site: Site):
    if site.is_postgres:
        pytest.skip("the callback's tests lock PostgreSQL's table")
    site.start_web()
    other = sqlite3.connect(site.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    other.execute("BEGIN IMMEDIATE")
    traffic = site.start(*site.simulation("--count", "1", "--duplicates", "0"))
    # It is refused while the lock is held, and WeChat's next try is stored.
    site.wait_until(lambda: "A push could not be stored" in site.log.read_text())
    other.rollback()
    other.close()
    assert traffic.wait(timeout=LIMIT) == 0
    assert "lost 0" in site.log.read_text()
    assert len(check_nothing_lost(site)) == 1

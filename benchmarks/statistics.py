"""What the statistics cost: counting a log, keeping up with it, endpoints for 90 days, dashboard.

    python -m benchmarks.statistics --rows 10000,1000000 --databases sqlite,postgresql

PostgreSQL is measured where DATABASE_URL names a server (``.ci/with-postgres`` starts one), in
databases of its own. Time is elapsed time; "processor" is this process's alone, without
PostgreSQL's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
ENDPOINTS = (
    *("followers", "events", "events by key", "menu", "messages", "scenes", "hours", "summary"),
    *("health", "top", "top ever"),
)
# Pages of the admin, with the words of their addresses.
PAGES = {"dashboard, 7 days": "?period=7", "dashboard, 90 days": "?period=90"}
ROUNDS = 5
# Of live traffic.
_SECONDS, _A_SECOND = 20, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="What the statistics cost.")
    parser.add_argument("--rows", default="10000,1000000", help="sizes of the log")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", help="where SQLite's files are made; default: the system's")
    parser.add_argument("--measure", type=int, metavar="ROWS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measure(options.measure)))
        return
    sizes = [int(size) for size in options.rows.split(",")]
    for vendor in options.databases.split(","):
        results = {size: _in_fresh_database(vendor, size, options.folder) for size in sizes}
        _report(vendor, results)


def _in_fresh_database(vendor: str, rows: int, folder: str | None) -> dict[str, Any]:
    with _database(vendor, folder) as url:
        environment = os.environ | {"DATABASE_URL": url, "API_REQUESTS_PER_MINUTE": "1000000"}
        run = [sys.executable, "-m", "benchmarks.statistics", "--measure", str(rows)]
        migrate = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(migrate, check=True, cwd=ROOT, env=environment)
        done = subprocess.run(run, check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return measured


@contextmanager
def _database(vendor: str, folder: str | None) -> Iterator[str]:
    if vendor == "sqlite":
        with tempfile.TemporaryDirectory(dir=folder) as made:
            yield f"sqlite:///{made}/site.sqlite3"
        return
    import psycopg

    server, name = os.environ["DATABASE_URL"], "benchmark_statistics"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _measure(rows: int) -> dict[str, Any]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django

    django.setup()
    from benchmarks.filling import fill

    fill(rows)
    whole = _fold()
    _receive()
    return {"fold": {"whole": whole["time"]} | _fold(), "reads": _reads()}


def _receive() -> None:
    """Stores the traffic of twenty seconds at 1,000 events a second, as the callback does."""
    import datetime

    from django.utils import timezone

    from benchmarks.filling import ACCOUNT
    from events.log.process import deliver
    from events.models import EventLog, OfficialAccount
    from subscribers.models import Subscriber

    account = OfficialAccount.objects.get(slug=ACCOUNT)
    people = list(Subscriber.objects.filter(account=account).values_list("openid", flat=True))
    random = Random(1)
    now = timezone.now().replace(microsecond=0)
    for second in range(_SECONDS):
        at = now - datetime.timedelta(seconds=_SECONDS - second)
        events = []
        for number in range(_A_SECOND):
            kind = random.choices(
                ["text", "event.click", "event.view", "event.subscribe", "event.unsubscribe",
                 "event.scan"],
                [25, 30, 25, 10, 5, 5],
            )[0]  # fmt: skip
            events.append(
                EventLog(
                    account=account,
                    dedup_key=f"live{second:08}{number:020}",
                    kind=kind,
                    openid=random.choice(people),
                    event_key=f"MENU_{random.randrange(24)}" if kind == "event.click" else "",
                    scene=f"poster-{random.randrange(40)}" if kind == "event.scan" else "",
                    event_time=at,
                    received_at=at,
                    last_delivered_at=at,
                    raw=b"",
                    status=EventLog.Status.PROCESSED,
                    processed_at=at,
                )
            )
        deliver(events, 30)


def _fold() -> dict[str, float]:
    """Counts what is not counted; milliseconds for 1,000 events, elapsed and of the processor."""
    from events.stats.counting.roll_up import roll_up

    began, used, counted = time.monotonic(), time.process_time(), 0
    while served := roll_up():
        counted += served
    return {
        "time": 1e6 * (time.monotonic() - began) / counted,
        "processor": 1e6 * (time.process_time() - used) / counted,
    }


def _reads() -> dict[str, float]:
    """Milliseconds of each endpoint for the last 90 days, the median of some rounds."""
    import datetime

    from django.contrib.auth.models import User
    from django.core.cache import caches
    from django.db import connection
    from django.test import Client
    from django.utils import timezone

    from benchmarks.filling import ACCOUNT
    from events.models import ApiKey

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    _, key = ApiKey.issue(user=User.objects.create_superuser("benchmark"), scopes=["stats:read"])
    client = Client(headers={"Authorization": f"Token {key}"}, SERVER_NAME="localhost")
    today = timezone.now().date()
    span = {
        "account": ACCOUNT,
        "from": str(today - datetime.timedelta(days=89)),
        "to": str(today),
    }
    found = {}
    for name in ENDPOINTS:
        path, _, how = name.partition(" ")
        query = span | ({"by": "key"} if how == "by key" else {})
        if how == "ever":
            query = {"account": ACCOUNT}
        times = []
        for _ in range(ROUNDS):
            caches["process"].clear()
            began = time.monotonic()
            response = client.get(f"/api/v1/stats/{path}/", query)
            times.append(1000 * (time.monotonic() - began))
            assert response.status_code == 200, response.content
        found[name] = statistics.median(times)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("operator"))
    for name, address in PAGES.items():
        times = []
        for _ in range(ROUNDS):
            caches["process"].clear()
            began = time.monotonic()
            response = client.get(f"/admin/{address}")
            times.append(1000 * (time.monotonic() - began))
            assert response.status_code == 200, response.content
        found[name] = statistics.median(times)
    return found


def _report(vendor: str, results: dict[int, dict[str, Any]]) -> None:
    sizes = list(results)
    print(f"\n{vendor}, milliseconds at so many events: {', '.join(f'{n:,}' for n in sizes)}")
    for name, title in (
        ("whole", "1,000 events of the whole log"),
        ("time", "1,000 events of live traffic"),
        ("processor", "of which this process's processor"),
    ):
        print(f"  {title:36}", *(f"{results[size]['fold'][name]:9.1f}" for size in sizes))
    for name in (*ENDPOINTS, *PAGES):
        print(f"  {name:36}", *(f"{results[size]['reads'][name]:9.1f}" for size in sizes))


if __name__ == "__main__":
    main()

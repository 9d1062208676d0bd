"""Measures what the statistics cost: counting a log and live traffic, endpoints, the dashboard.

    python -m benchmarks.statistics --rows 10000,1000000 --databases sqlite,postgresql

For PostgreSQL, DATABASE_URL must name a server on this machine (``.ci/with-postgres`` starts one);
the benchmark makes databases of its own. "Processor" is the time of this process and of the server
together. Endpoints are asked for 90 days.

About half of the live traffic are menu taps, most of them answered with the push. A quarter are
texts that nobody answers: the statistics keep their words, which costs most.
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

from benchmarks.processor_time import parent_of, tree_seconds

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
ENDPOINTS = (
    *("followers", "events", "events by key", "menu", "messages", "scenes", "hours", "summary"),
    *("health", "top", "top since the first day", "top ever"),
)
# The dashboard's pages, with the period in their addresses.
PAGES = {"dashboard, 7 days": "7", "dashboard, 90 days": "90"}
ROUNDS = 5
# Live traffic lasts so many seconds, with so many events a second.
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
    return {"fold": {"whole": whole["processor"]} | _fold(), "reads": _reads()}


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
            openid = random.choice(people)
            is_answered = kind == "event.click" and random.random() < 0.9
            body = f"<Content>How much is number {random.randrange(200)}?</Content>"
            events.append(
                EventLog(
                    account=account,
                    dedup_key=f"live{second:08}{number:020}",
                    kind=kind,
                    openid=openid,
                    event_key=_key(kind, random),
                    scene=f"poster-{random.randrange(40)}" if kind == "event.scan" else "",
                    event_time=at,
                    received_at=at,
                    last_delivered_at=at,
                    raw=f"<xml><FromUserName>{openid}</FromUserName>{body}</xml>".encode(),
                    status=EventLog.Status.PROCESSED,
                    processed_at=at,
                    answered_by=EventLog.AnsweredBy.REPLY if is_answered else "",
                    answered_at=at if is_answered else None,
                    reply="<xml></xml>" if is_answered else "",
                )
            )
        deliver(events, 30)


def _key(kind: str, random: Random) -> str:
    match kind:
        case "event.click":
            return f"MENU_{random.randrange(24)}"
        case "event.view":
            return f"https://shop.example.com/pages/{random.randrange(30)}"
        case _:
            return ""


def _fold() -> dict[str, float]:
    """Counts the events that are not counted yet; returns processor milliseconds per 1,000."""
    from events.stats.counting.roll_up import roll_up

    server = _server()
    used, counted = _used(server), 0
    while served := roll_up():
        counted += served
    own, of_server = (now - was for now, was in zip(_used(server), used, strict=True))
    return {
        "processor": 1e6 * (own + of_server) / counted,
        "own": 1e6 * own / counted,
        "server": 1e6 * of_server / counted,
    }


def _server() -> int | None:
    """The id of PostgreSQL's main process, which started all others; None on SQLite."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    connection.ensure_connection()
    return parent_of(connection.connection.info.backend_pid)


def _used(server: int | None) -> tuple[float, float]:
    """Processor seconds that this process has used, and PostgreSQL."""
    return time.process_time(), 0.0 if server is None else tree_seconds(server)


def _reads() -> dict[str, tuple[float, float]]:
    """Milliseconds of each endpoint and page: elapsed (the median of some rounds) and processor.

    The processor time is the mean of the rounds, since PostgreSQL's is known only to the tick.
    """
    import datetime

    from django.contrib.auth.models import User
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
        query = dict(span)
        match how:
            case "by key":
                query["by"] = "key"
            case "ever":
                query = {"account": ACCOUNT}
            case "since the first day":
                query["from"] = str(today - datetime.timedelta(days=396))
        found[name] = _read(client, f"/api/v1/stats/{path}/", query)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("operator"))
    for name, period in PAGES.items():
        found[name] = _read(client, "/admin/", {"period": period})
    return found


def _read(client: Any, path: str, query: dict[str, str]) -> tuple[float, float]:
    from django.core.cache import caches

    server = _server()
    times, used = [], 0.0
    # The first round is left out: Django loads templates in it, and PostgreSQL its catalogue.
    for turn in range(ROUNDS + 1):
        caches["process"].clear()
        before, began = sum(_used(server)), time.monotonic()
        response = client.get(path, query)
        elapsed = time.monotonic() - began
        assert response.status_code == 200, response.content
        if turn:
            times.append(1000 * elapsed)
            used += sum(_used(server)) - before
    return statistics.median(times), 1000 * used / ROUNDS


def _report(vendor: str, results: dict[int, dict[str, Any]]) -> None:
    sizes = list(results)
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"\n{vendor}, milliseconds at so many events: {', '.join(f'{n:,}' for n in sizes)}")
    print(f"load average at the end {load}")
    for name, title in (
        ("whole", "1,000 events of the whole log, processor"),
        ("processor", "1,000 events of live traffic, processor"),
        ("own", "of which this process's"),
        ("server", "of which the server's"),
    ):
        print(f"  {title:42}", *(f"{results[size]['fold'][name]:9.1f}" for size in sizes))
    print("elapsed, and of the processor")
    for name in (*ENDPOINTS, *PAGES):
        reads = [results[size]["reads"][name] for size in sizes]
        print(f"  {name:42}", *(f"{elapsed:9.1f} {used:9.1f}" for elapsed, used in reads))


if __name__ == "__main__":
    main()

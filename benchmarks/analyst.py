"""Answers nine questions of an analyst from lists, and from statistics: requests, rows, bytes.

    DATABASE_URL=sqlite:////tmp/analyst.sqlite3 python -m benchmarks.analyst --rows 100000

The database must be migrated and empty. The questions are about the last 30 days.
"""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["main"]

# A path and its parameters; {since} and {today} stand for the first and the last day.
_Request = tuple[str, dict[str, str]]
_EVENTS = {"event_time_after": "{since}"}
_DAYS = {"from": "{since}", "to": "{today}"}

# The question, the requests to the lists, the requests to the statistics.
QUESTIONS: Sequence[tuple[str, Sequence[_Request], Sequence[_Request]]] = (
    (
        "new, cancelled and net by day",
        [("events", _EVENTS | {"kind": "event.subscribe,event.unsubscribe"})],
        [("stats/followers", _DAYS)],
    ),
    (
        "cumulative followers by day",
        [
            ("events", _EVENTS | {"kind": "event.subscribe,event.unsubscribe"}),
            ("subscribers", {"is_following": "true"}),
        ],
        [("stats/followers", _DAYS)],
    ),
    (
        "growth by code, kept after 7 days",
        [("events", _EVENTS | {"kind": "event.subscribe,event.unsubscribe,event.scan"})],
        [("stats/scenes", _DAYS | {"retention_days": "7"})],
    ),
    (
        "menu taps and people by key and day",
        [("events", _EVENTS | {"kind": "event.click,event.view"})],
        [("stats/menu", _DAYS)],
    ),
    (
        "messages in by hour",
        [("events", _EVENTS | {"kind": "text"})],
        [("stats/messages", _DAYS | {"interval": "hour", "direction": "in"})],
    ),
    (
        "messages out by hour",
        [("messages", {"created_after": "{since}"})],
        [("stats/messages", _DAYS | {"interval": "hour", "direction": "out"})],
    ),
    ("the 20 most active ever", [("subscribers", {})], [("stats/top", {})]),
    ("the 20 most active in 30 days", [("events", _EVENTS)], [("stats/top", _DAYS)]),
    (
        "the share of bound followers",
        [("subscribers", {"is_following": "true"}), ("bindings", {"active": "true"})],
        [("stats/followers", _DAYS), ("bindings", {"active": "true"})],
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Nine questions of an analyst.")
    parser.add_argument("--rows", type=int, default=100_000, help="size of the log")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    os.environ["API_REQUESTS_PER_MINUTE"] = "1000000"
    import django

    django.setup()
    from benchmarks.filling import ACCOUNT, fill
    from events.stats.counting.roll_up import roll_up

    fill(options.rows)
    while roll_up():
        pass
    ask = _asker(ACCOUNT)
    print("| question | lists | statistics |\n|---|---|---|")
    for question, before, after in QUESTIONS:
        print(f"| {question} | {_told(ask(before))} | {_told(ask(after))} |", flush=True)


def _told(counted: tuple[int, int, int]) -> str:
    requests, rows, size = counted
    return f"{requests} / {rows:,} / {size / 1000:,.0f} kB"


def _asker(account: str) -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    from events.models import ApiKey
    from events.people.scopes import READ_SCOPES

    user = User.objects.create_superuser("analyst")
    _, key = ApiKey.issue(user=user, scopes=list(READ_SCOPES))
    client = Client(headers={"Authorization": f"Token {key}"}, SERVER_NAME="localhost")
    today = datetime.datetime.now(datetime.UTC).date()
    words = {"today": str(today), "since": str(today - datetime.timedelta(days=29))}

    def ask(requests: Sequence[_Request]) -> tuple[int, int, int]:
        number = rows = size = 0
        for path, parameters in requests:
            query = {name: value.format(**words) for name, value in parameters.items()}
            query["account"] = account
            if not path.startswith("stats/"):
                query["page_size"] = "1000"
            address: str | None = f"/api/v1/{path}/"
            while address:
                response = client.get(address, query or None)
                assert response.status_code == 200, response.content
                answer = response.json()
                number, size = number + 1, size + len(response.content)
                rows += len(answer["results"])
                following = answer.get("next")
                parts = urlsplit(following or "")
                address, query = (f"{parts.path}?{parts.query}" if following else None), {}
        return number, rows, size

    return ask


if __name__ == "__main__":
    main()

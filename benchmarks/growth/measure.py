"""Measures one database at several sizes of its log, in a process with its own Django."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.growth.results import Measured, Results

__all__ = ["measure"]

# The rounds of each read and of each portion of inserts, the first of which is not counted; and the
# pushes of a portion.
ROUNDS, PUSHES = 4, 2000
# How many pushes are in flight at a time.
IN_FLIGHT = 16
# A read that once took more than so many seconds is not measured again.
_TOO_SLOW = 2.0


def measure(sizes: list[int]) -> Results:
    """Measures reads at each size of the log, and inserts at each size and in an empty log."""
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.utils import timezone

    from benchmarks.growth.reads import all_reads

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    # With DEBUG on, Django keeps the text of every statement.
    settings.DEBUG = False
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    now = timezone.now()
    results = Results(connection.vendor, sizes, {}, {}, [])
    with _databases([0, *sizes]) as databases:
        clients: dict[int, Any] = {}
        reads: dict[int, Any] = {}
        for size, name in databases.items():
            _use(name)
            started = time.monotonic()
            _make(size, now)
            if size:
                reads[size], clients[size] = all_reads(now), _signed_in()
            seconds = time.monotonic() - started
            print(f"{connection.vendor}: {size:,} rows in {seconds:.0f} s", file=sys.stderr)
        results.combined = [read.name for read in reads[sizes[0]] if read.combined]
        for turn in range(ROUNDS):
            for same in zip(*(reads[size] for size in sizes), strict=True):
                for size, read in zip(sizes, same, strict=True):
                    measured = results.reads.setdefault(read.name, {}).setdefault(
                        size, Measured(expected_status=read.status)
                    )
                    if turn and measured.slowest > 1000 * _TOO_SLOW:
                        continue
                    _use(databases[size])
                    _read(clients[size], read.url, measured)
        for turn in range(ROUNDS):
            for size, name in databases.items():
                _use(name)
                rate = _insert(turn)
                if turn:
                    results.inserts.setdefault(size, []).append(rate)
    return results


@contextmanager
def _databases(sizes: list[int]) -> Iterator[dict[int, str]]:
    """Makes a fresh database for each size, and yields their names; removes them at the end."""
    from django.db import connection

    if connection.vendor == "sqlite":
        folder = Path(tempfile.mkdtemp(dir=Path(connection.settings_dict["NAME"]).parent))
        try:
            yield {size: str(folder / f"{size}.sqlite3") for size in sizes}
        finally:
            connection.close()
            shutil.rmtree(folder)
        return
    base = connection.settings_dict["NAME"]
    names = {size: f"growth_{os.getpid()}_{size}" for size in sizes}
    try:
        for name in names.values():
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
        yield names
    finally:
        _use(base)
        for name in names.values():
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def _use(name: str) -> None:
    from django.core.cache import caches
    from django.db import connection

    from events.db import writer_connection

    connection.close()
    writer_connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["NAME"] = name
    caches["process"].clear()


def _make(size: int, now: Any) -> None:
    from django.core.management import call_command

    from benchmarks.filling import ACCOUNT, fill
    from events.models import OfficialAccount
    from events.testing import make_rule

    call_command("migrate", verbosity=0)
    fill(size, now=now)
    account = OfficialAccount.objects.get(slug=ACCOUNT)
    make_rule(account, "event.click", content="好的")


def _signed_in() -> tuple[Any, str]:
    from django.contrib.auth.models import User
    from django.test import Client

    from events.models import ApiKey
    from events.people.scopes import READ_SCOPES

    user = User.objects.create_superuser("operator")
    client = Client()
    client.force_login(user)
    return client, ApiKey.issue(user=user, scopes=list(READ_SCOPES))[1]


def _read(client: tuple[Any, str], url: str, measured: Measured) -> None:
    """Reads twice, first on a fresh connection; counts the second, and notes the slower one."""
    from django.db import connection

    browser, key = client
    for warm in (False, True):
        spent: list[float] = []

        def timed(execute: Any, *arguments: Any, spent: list[float] = spent) -> Any:
            began = time.perf_counter()
            try:
                return execute(*arguments)
            finally:
                spent.append(time.perf_counter() - began)

        with connection.execute_wrapper(timed):
            began = time.perf_counter()
            response = browser.get(url, headers={"Authorization": f"Token {key}"})
            whole = 1000 * (time.perf_counter() - began)
        measured.slowest = max(measured.slowest, whole)
        if warm or whole > 1000 * _TOO_SLOW:
            measured.total.append(whole)
            measured.database.append(1000 * sum(spent))
            # The least, because a key's use costs one more statement at most once a minute.
            measured.statements = min(measured.statements or len(spent), len(spent))
            measured.status = response.status_code
            return


def _insert(turn: int) -> float:
    """Sends pushes of a new turn through the receiving path; returns how many a second it stored.

    IN_FLIGHT of them are in flight at a time, each in a thread.
    """
    from django.db import close_old_connections
    from django.utils import timezone

    from benchmarks.filling import ACCOUNT
    from events.callback.receive import Answer, admit
    from events.callback.views import take_push
    from events.models import OfficialAccount
    from events.testing import message_xml
    from events.wechat import SecurityMode
    from events.wechat.sender import seal_push

    account = OfficialAccount.objects.get(slug=ACCOUNT)
    now = timezone.now()
    kinds = ["text"] * 5 + ["event.CLICK"] * 6 + ["event.VIEW"] * 5
    kinds += ["event.subscribe"] * 2 + ["event.unsubscribe", "event.SCAN"]
    pushes = []
    for number in range(PUSHES):
        kind = kinds[number % len(kinds)]
        fields: dict[str, Any] = {"EventKey": ""}
        match kind:
            case "text":
                fields = {"Content": "Hello", "MsgId": 10**18 + turn * PUSHES + number}
            case "event.CLICK":
                fields = {"EventKey": f"MENU_{number % 24}"}
            case "event.VIEW":
                fields = {"EventKey": f"https://shop.example.com/pages/{number % 30}"}
            case "event.SCAN":
                fields = {"EventKey": f"poster-{number % 40}", "Ticket": "gQH47joAAAAAAAAA"}
        # Real pushes are spread over all followers too.
        openid = f"oT3xk5Qm{(turn * PUSHES + number) * 7919 % 500_000:020}"
        pushes.append(
            seal_push(
                message_xml(kind, openid=openid, at=int(now.timestamp()) - 1, **fields),
                credentials=account.credentials(now),
                mode=SecurityMode(account.security_mode),
                timestamp=int(now.timestamp()),
                nonce=str(number),
                random=os.urandom(16),
            )
        )
    queries = [(urlencode(query), body) for query, body in pushes]

    def receive(push: tuple[str, bytes]) -> None:
        try:
            query_string, body = push
            answer = admit(account, account.callback_key, query_string, now=now)
            if not isinstance(answer, Answer):
                answer.body = body
                answer = take_push(answer)
        finally:
            close_old_connections()
        if answer.status != 200:
            raise RuntimeError(f"A push was answered {answer.status}: {answer.body}")

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        list(threads.map(receive, queries[:IN_FLIGHT]))
        began = time.perf_counter()
        list(threads.map(receive, queries[IN_FLIGHT:]))
        return (PUSHES - IN_FLIGHT) / (time.perf_counter() - began)

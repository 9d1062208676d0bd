"""Receivers that fail, hang, redirect, die and come back, and workers that are killed.

By hand with as many events as you like, on SQLite or the server of DATABASE_URL:

    python -m subscribers.tests.webhooks.storm 10000
    .ci/with-postgres python -m subscribers.tests.webhooks.storm 10000
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from typing import Any

from standardwebhooks import Webhook

from subscribers.tests.webhooks.receiver import Answered, Receiver, running
from wechat_site.tests.racing import LIMIT, Racers, set_up, wait_for_others
from wechat_site.tests.site import database_of_its_own

__all__ = ["Report", "storm"]

_WORKERS = 2
_SECONDS = 0.5


# --- Processes ------------------------------------------------------------------------------------


def make_tables(database: str) -> None:
    """Makes an empty database of that name."""
    set_up(database)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def prepare(database: str, urls: Sequence[str]) -> list[str]:
    """Makes an account with an endpoint for each address; returns their secrets."""
    set_up(database)
    from events.testing import make_account
    from subscribers.webhooks.endpoints import make_endpoint

    account = make_account("shop")
    return [make_endpoint(account, url, ["message.received"]).secret for url in urls]


def write(database: str, writer: int, number: int) -> tuple[dict[str, float], list[str]]:
    """Stores events, each in a transaction that lasts; a tenth is rolled back.

    Returns when each is committed at the earliest, by time.monotonic(), and those rolled back.
    """
    set_up(database)
    from django.db import transaction
    from django.utils import timezone

    from events.models import EventLog, OfficialAccount
    from events.testing import message_xml

    account = OfficialAccount.objects.get(slug="shop")
    random = Random(writer)
    committed: dict[str, float] = {}
    rolled_back = []
    wait_for_others()
    for each in range(number):
        mark = f"{writer}-{each}"
        now = timezone.now()
        with transaction.atomic():
            EventLog.objects.create(
                account=account, dedup_key=mark, kind="text", msg_type="text", openid="o1",
                msg_id=mark, event_time=now, received_at=now, last_delivered_at=now, folded_at=now,
                status="processed", raw=message_xml("text", openid="o1", Content="x", MsgId=each),
            )  # fmt: skip
            if random.random() < 0.05:
                time.sleep(0.02)
            if random.random() < 0.1:
                transaction.set_rollback(True)
                rolled_back.append(mark)
            else:
                committed[mark] = time.monotonic()
        time.sleep(0.001)
    return committed, rolled_back


def work(database: str, is_at_work: Event) -> None:
    """A worker with short waits, until it is killed."""
    set_up(database)
    import datetime

    from django.conf import settings
    from django.db import OperationalError

    from subscribers.webhooks import endpoint_standing, pace, send_deliveries
    from subscribers.webhooks.write import write_messages

    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    settings.WEBHOOK_SECONDS = _SECONDS
    tenth = datetime.timedelta(seconds=0.1)
    short = {"WEBHOOK": (tenth,) * 1000, "WEBHOOK_ENDPOINT": (tenth, 5 * tenth)}
    # A killed worker's deliveries are free again soon.
    vars(send_deliveries).update(short, _lease=lambda: 30 * tenth)
    vars(endpoint_standing).update(short, _PAUSED_AFTER=10 * tenth)
    # The machine of a test is always busy.
    vars(pace).update(_REST=0)

    def serve(task: Any) -> None:
        while True:
            with contextlib.suppress(OperationalError):
                if task():
                    continue
            time.sleep(0.05)

    for task in (send_deliveries.send_due, send_deliveries.send_due):
        threading.Thread(target=serve, args=(task,), daemon=True).start()
    is_at_work.set()
    serve(write_messages)


# --- Receivers ------------------------------------------------------------------------------------


@dataclass
class Faulty(Receiver):
    """Keeps when each event arrived first, and how often; verifies every signature."""

    seed: int
    fails: float = 0
    hangs: float = 0
    redirects: float = 0
    is_away: bool = False
    gone_after: int = 0
    secret: str = ""
    first: dict[str, float] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    requests_made: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self._random = Random(self.seed)
        self._lock = threading.Lock()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answered | None:
        now = time.monotonic()
        assert path == "/hook", "a redirect was followed"
        if self.is_away:
            return None
        Webhook(self.secret).verify(body, headers)
        mark = json.loads(body)["data"]["msg_id"]
        with self._lock:
            self.requests_made += 1
            self.first.setdefault(mark, now)
            chance = self._random.random()
            if self.gone_after and self.requests_made >= self.gone_after:
                return 410, {}, b""
        if chance < self.fails:
            return 500, {}, b"no"
        if chance < self.fails + self.redirects:
            return 302, {"Location": "/elsewhere"}, b""
        if chance < self.fails + self.redirects + self.hangs:
            time.sleep(_SECONDS * 1.5)
        with self._lock:
            self.taken[mark] = self.taken.get(mark, 0) + 1
        return 204, {}, b""


@dataclass(frozen=True)
class Report:
    events: int
    seconds: float
    requests: list[int]
    missing: int
    rolled_back_told: int
    before_commit: int
    twice: int
    after_gone: int
    kills: int


def storm(
    racers: Racers, database: str, events: int, *, limit: float, kill_every: float = 1
) -> Report:
    """Sends that many events through all of it; ends when each has arrived, or after `limit`."""
    fails, hangs, redirects = (
        Faulty(1, fails=1 / 3),
        Faulty(2, hangs=0.01),
        Faulty(3, redirects=0.1),
    )
    dies, gone = Faulty(4), Faulty(5, gone_after=20)
    all_ = [fails, hangs, redirects, dies, gone]
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        for receiver in all_:
            stack.enter_context(running(receiver))
        secrets = racers.call(prepare, database, [receiver.url for receiver in all_])
        for receiver, secret in zip(all_, secrets, strict=True):
            receiver.secret = secret
        workers = [_Worker(database) for _ in range(_WORKERS)]
        stack.callback(lambda: [worker.kill() for worker in workers])
        writing = racers.begin(write, [(database, each, events // 2) for each in range(2)])
        kills = 0
        while not all(result.ready() for result in writing):
            worker = workers[kills % _WORKERS]
            # One that still begins has nothing in its hands.
            worker.is_at_work.wait(LIMIT)
            time.sleep(kill_every)
            dies.is_away = kills % 2 == 0
            worker.kill()
            workers[kills % _WORKERS] = _Worker(database)
            kills += 1
        dies.is_away = False
        results = [result.get() for result in writing]
        committed = {mark: at for found, _ in results for mark, at in found.items()}
        rolled_back = {mark for _, marks in results for mark in marks}
        workers[0].kill()
        workers[0] = _Worker(database)
        expected = all_[:4]
        while time.monotonic() - began < limit and _missing(expected, committed):
            time.sleep(0.1)
        seen_when_gone = gone.requests_made
        time.sleep(0.5)
    return Report(
        events=len(committed),
        seconds=time.monotonic() - began,
        requests=[receiver.requests_made for receiver in all_],
        missing=_missing(expected, committed),
        rolled_back_told=sum(len(rolled_back & r.first.keys()) for r in all_),
        before_commit=sum(
            at < committed[mark] for r in all_ for mark, at in r.first.items() if mark in committed
        ),
        twice=sum(number - 1 for r in expected for number in r.taken.values()),
        after_gone=gone.requests_made - seen_when_gone,
        kills=kills + 1,
    )


def _missing(receivers: Sequence[Faulty], committed: dict[str, float]) -> int:
    return sum(len(committed.keys() - receiver.taken.keys()) for receiver in receivers)


class _Worker:
    """A process that works from the moment `is_at_work` is set."""

    def __init__(self, database: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.is_at_work = context.Event()
        self._process = context.Process(target=work, args=(database, self.is_at_work))
        self._process.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def main(events: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        database_of_its_own(Path(folder)) as url,
        Racers() as processes,
    ):
        is_file = url.startswith("sqlite")
        database = url.removeprefix("sqlite:///") if is_file else url.rpartition("/")[2]
        processes.call(make_tables, database)
        print(storm(processes, database, events, limit=1800))


if __name__ == "__main__":
    main(int(sys.argv[1]))

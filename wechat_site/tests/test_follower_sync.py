"""Follower syncs in processes of their own: killed and resumed, and while people come and go."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from events.simulator import Follower, Population, PushSender, acts, disturbed
from events.simulator.fake_api import (
    FakeAccount,
    FakeWeChatAPI,
    FakeWeChatAPIServer,
    Followers,
    NumberedFollowers,
    PopulationFollowers,
)
from events.wechat import Credentials, SecurityMode
from wechat_site.tests.site import Site

pytestmark = pytest.mark.slow

APP_ID = "wx3a9f0c27d81be645"
ORIGINAL_ID = "gh_5f2c81d0a7be"
SECRET = "5d41402abc4b2a76b9719d911017c592"
BATCHGET = "/cgi-bin/user/info/batchget"


class Crowd:
    """A great many people on the platform, of whom the last `left` follow no more."""

    def __init__(self, following: int, left: int) -> None:
        self._listed = NumberedFollowers(following)
        self._all = NumberedFollowers(following + left)

    def total(self) -> int:
        return self._listed.total()

    def page(self, after: str, limit: int) -> list[str]:
        return self._listed.page(after, limit)

    def find(self, openid: str) -> Follower | None:
        found = self._listed.find(openid)
        if found is None and self._all.find(openid) is not None:
            return Follower(openid)
        return found


Serve = Callable[[Followers], FakeAccount]


@pytest.fixture
def serve(site: Site) -> Iterator[Serve]:
    """Puts people on a fake platform that the site calls."""
    platform = FakeWeChatAPI(random=Random(1))

    def serve(followers: Followers) -> FakeAccount:
        site.manage("add_account", "load", "--app-secret", SECRET)
        return platform.add_account(APP_ID, SECRET, followers=followers)

    with FakeWeChatAPIServer(platform) as server:
        site.environment["WECHAT_API_BASE"] = server.url
        site.environment["PYTHONUNBUFFERED"] = "1"
        yield serve


PREPARE = """
import datetime
from django.utils import timezone
from events.models import *
from events.log.process import deliver
now = timezone.now()
account = OfficialAccount.objects.get()
def push(kind, number, hours):
    at = (now - datetime.timedelta(hours=hours)).replace(microsecond=0)
    openid = f"oNUMBR{number:022d}"
    return EventLog(
        account=account, dedup_key=f"{kind[-9:]}{number}", kind=kind, openid=openid,
        event_time=at, received_at=now, last_delivered_at=now, raw=b"", status="processed",
    )
known, missed, listed, left = KNOWN, MISSED, LISTED, LEFT
rows = [push("event.subscribe", number, 48) for number in range(known)]
rows += [push("event.unsubscribe", number, 24) for number in range(missed)]
rows += [push("event.subscribe", number, 48) for number in range(listed, listed + left)]
for start in range(0, len(rows), 1000):
    deliver(rows[start:start + 1000], lock_timeout=30)
"""


# So many that killing is worth while; `make test-large` takes 25 times as many.
MANY = int(os.environ.get("FOLLOWERS_IN_TEST", "8000"))
# Seconds for the commands that read them all.
LOCK_TIMEOUT = 240 + MANY / 500


def test_a_sync_that_is_killed_twice_comes_to_the_right_report(site, serve):
    listed, known, missed, left = MANY, MANY * 3 // 20, MANY // 200, MANY // 100
    account = serve(Crowd(listed, left))
    numbers = {"KNOWN": known, "MISSED": missed, "LISTED": listed, "LEFT": left}
    prepare = PREPARE
    for name, number in numbers.items():
        prepare = prepare.replace(name, str(number))
    site.manage("shell", "-v0", "-c", prepare, timeout=LOCK_TIMEOUT)
    calls = account.quotas

    for enough in (MANY // 700, MANY // 220):
        process = site.start("manage.py", "sync_followers", "load", "--resume", "--now")
        while calls.used(BATCHGET, time.time()) < enough:
            assert process.poll() is None, site.log.read_text()[-3000:]
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    began = time.monotonic()
    last = site.start("manage.py", "sync_followers", "load", "--resume", "--now")
    memory = largest_memory(last)
    print(f"{MANY} followers: {memory >> 10} MiB, {time.monotonic() - began:.0f} s since the kill")
    assert last.returncode == 0, site.log.read_text()[-3000:]

    report = site.log.read_text().strip().splitlines()[-1]
    assert report == (
        f"load: {listed} seen, {listed - known} new, {missed} missed follows, "
        f"{left} missed unfollows, {known - missed} unchanged, 0 left meanwhile, "
        "0 unknown to WeChat"
    )
    # However many there are.
    assert memory < 200 * 1024, f"{memory} KiB"
    site.manage("rebuild_subscribers", "--check", timeout=LOCK_TIMEOUT)
    counted = json.loads(
        site.manage(
            *("shell", "-v0", "-c"),
            "import json; from events.models import *; from subscribers.models import *; "
            "print(json.dumps([Subscriber.objects.filter(is_following=True).count(), "
            "EventLog.objects.filter(source='import').count(), "
            "EventLog.objects.filter(source='reconcile').count(), "
            "FollowerSync.objects.count()]))",
            timeout=LOCK_TIMEOUT,
        )
    )
    assert counted == [listed, listed - known, missed + left, 1]


def largest_memory(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process to end; the most memory it ever held, in KiB."""
    # Not its ru_maxrss, which begins with what this process has when it forks.
    largest = 0
    while process.poll() is None:
        held = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        largest = int(held[1]) if held else largest
        time.sleep(0.01)
    return largest


def test_live_traffic_and_a_sync_do_not_disturb_each_other(site, serve):
    random = Random(7)
    old = [
        Follower(f"oOLDER{number:022d}", is_following=True, followed_at=1_700_000_000 + number)
        for number in range(3000)
    ]
    population = Population(ORIGINAL_ID, random=random, known=old)
    serve(PopulationFollowers(population)).page_size = 500
    site.start_web()
    key = site.manage(
        *("shell", "-v0", "-c"),
        "from events.callback.callback_address import callback_path; from events.models import *; "
        "print(callback_path(OfficialAccount.objects.get()))",
    ).strip()
    credentials = Credentials(
        app_id=APP_ID,
        mode=SecurityMode.SAFE,
        tokens=("Rk7mWechatTok2026",),
        aes_keys=("mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD",),
    )
    wechat = PushSender(f"http://127.0.0.1:{site.port}{key}", credentials, original_id=ORIGINAL_ID)
    synced = threading.Event()
    happening = itertools.takewhile(
        lambda _: not synced.is_set(), iter(lambda: int(time.time()), None)
    )
    pushes = disturbed(acts(population, happening), duplicates=0.05, reorder=0.1, random=random)
    traffic = threading.Thread(target=wechat.deliver, args=(pushes,), kwargs={"concurrency": 8})
    traffic.start()
    try:
        during = [site.manage("sync_followers", "load").splitlines()[-1] for _ in range(2)]
        assert traffic.is_alive()
    finally:
        synced.set()
        traffic.join()
    tally = wechat.tally
    assert tally.answered == tally.sent > 0
    # A busy machine may need WeChat's second try.
    assert (tally.lost, tally.mismatches) == (0, 0)
    # The traffic decides how many: people who acted before the sync reached them are known.
    assert int(re.findall(r"(\d+) new", during[0])[0]) > 0

    time.sleep(1)
    after = site.manage("sync_followers", "load").splitlines()[-1]
    assert ", 0 new, 0 missed follows, 0 missed unfollows," in after
    assert after.startswith(f"load: {population.following} seen")
    site.manage("rebuild_subscribers", "--check")
    assert "deadlock" not in site.log.read_text()

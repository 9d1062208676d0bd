"""Many workers of both kinds, some of them killed: everything is done once, or says why not."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer
from events.simulator.pushes import Push
from wechat_site.tests.redis_server import ask_redis, running_redis
from wechat_site.tests.site import Site
from wechat_site.tests.tasks.scale_work import FOLLOWERS, SECRET

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

MESSAGES, EVENTS = 800, 600
SEND = "/cgi-bin/message/custom/send"


def missing(what: str) -> None:
    without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    without(what)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The broker in the environment, such as a RabbitMQ; a Redis of our own if there is none."""
    if importlib.util.find_spec("celery") is None:
        missing("Celery is not installed")
    if given := os.environ.get("CELERY_BROKER_URL"):
        yield given
        return
    with running_redis(tmp_path) as url:
        yield url


@pytest.fixture
def platform() -> Iterator[FakeWeChatAPIServer]:
    fake = FakeWeChatAPI(random=Random(4))
    account = fake.add_account("wx3a9f0c27d81be645", SECRET, followers=FOLLOWERS)
    for number in range(FOLLOWERS.count):
        account.note_push(Push(FOLLOWERS.openid(number), int(time.time()), "text"))
    with FakeWeChatAPIServer(fake) as server:
        yield server


class Workers:
    """Celery and plain workers of one site, each in a process group of its own."""

    def __init__(self, site: Site, tmp_path: Path) -> None:
        self._site = site
        self._tmp_path = tmp_path

    def start_celery(self, number: int) -> list[subprocess.Popen[bytes]]:
        return [
            self._site.start(
                *("-m", "celery", "-A", "wechat_site", "worker", "--concurrency", "2"),
                *("--hostname", f"celery{index}@localhost", "--loglevel", "INFO"),
            )
            for index in range(number)
        ]

    def start_beat(self) -> None:
        self._site.start(
            *("-m", "celery", "-A", "wechat_site", "beat"),
            *("--schedule", str(self._tmp_path / "beat")),
        )

    def start_plain(self, number: int) -> list[subprocess.Popen[bytes]]:
        return [self._site.start("manage.py", "worker") for _ in range(number)]

    def wait_for_celery(self, number: int) -> None:
        self._site.wait_until(lambda: self._site.log.read_text().count(" ready.") >= number)


@pytest.fixture
def workers(site: Site, broker: str, platform: FakeWeChatAPIServer, tmp_path: Path) -> Workers:
    site.environment |= {
        "CELERY_BROKER_URL": broker,
        "WECHAT_API_BASE": platform.url,
        # Where Celery is, if it is not in the virtual environment.
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    return Workers(site, tmp_path)


def in_site(site: Site, call: str) -> str:
    return site.manage(
        "shell", "-v0", "-c", f"from wechat_site.tests.tasks.scale_work import *; {call}"
    )


def look(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(in_site(site, "report()"))
    return found


def is_over(found: dict[str, Any]) -> bool:
    # A reply waits until WeChat's tries are over before it becomes a message.
    return all(
        event["status"] == "processed" and event["next_attempt_at"] is None
        for event in found["events"]
    ) and all(message["state"] in {"sent", "failed", "unknown"} for message in found["messages"])


def check_done_once(found: dict[str, Any], platform: FakeWeChatAPIServer) -> Counter[str]:
    """Every message was sent at most once, and its row says what came of it."""
    arrived = Counter(
        (sent.openid, sent.body["text"]["content"])
        for sent in platform.api.account("wx3a9f0c27d81be645").sent
    )
    assert max(arrived.values()) == 1
    for message in found["messages"]:
        times = arrived.pop((message["openid"], message["content"]), 0)
        match message["state"]:
            case "sent":
                assert (times, message["failure"]) == (1, "")
            case "failed":
                assert times == 0
                assert message["failure"]
            case "unknown":
                assert message["failure"] in {"killed", "unreachable", "bad_answer"}
        assert message["lease"] == ""
    assert not arrived, "the platform was sent what no row tells of"
    return Counter(message["state"] for message in found["messages"])


def test_2000_jobs_eight_workers_two_of_them_killed(
    site: Site, workers: Workers, platform: FakeWeChatAPIServer
):
    fake = platform.api
    in_site(site, f"seed({MESSAGES}, {EVENTS})")
    plain = workers.start_plain(4)
    celery = workers.start_celery(4)
    workers.start_beat()
    workers.wait_for_celery(4)
    fake.failure_rate = 0.1
    fake.latency = (0.02, 0.1)
    began = time.monotonic()
    in_site(site, "make_due()")

    site.wait_until(lambda: fake.calls.get(SEND, 0) > 200)
    # So slow for a moment that every worker is in the middle of a call, and then dead.
    fake.latency = (5, 5)
    before = -1
    while before != (before := fake.calls[SEND]):
        time.sleep(0.5)
    for victim in (plain[0], celery[0]):
        os.killpg(victim.pid, signal.SIGKILL)
    fake.latency = (0.02, 0.1)

    # The last to be found are those that the dead had in hand, when their leases end.
    site.wait_until(lambda: is_over(look(site)), every=2)
    print(f"{time.monotonic() - began:.0f} s")
    found = look(site)
    states = check_done_once(found, platform)
    print(states, Counter(message["failure"] for message in found["messages"]))
    assert len(found["events"]) == MESSAGES + EVENTS
    assert states.total() == MESSAGES + EVENTS
    assert states["sent"] > 0.8 * states.total()
    # Two of three of the platform's failures leave it open whether the message went out.
    assert states["unknown"] > 0.03 * states.total()
    assert any(message["failure"] == "killed" for message in found["messages"])
    # Every event was answered once, and folded once.
    answered = Counter(message["event"] for message in found["messages"] if message["event"])
    assert (len(answered), max(answered.values())) == (EVENTS, 1)
    site.manage("rebuild_subscribers", "--check")


def test_celery_alone_does_everything_even_if_the_broker_forgets(
    site: Site, workers: Workers, platform: FakeWeChatAPIServer, broker: str
):
    in_site(site, "seed(20, 20)")
    workers.start_celery(1)
    workers.start_beat()
    workers.wait_for_celery(1)
    for _ in range(5 if broker.startswith("redis:") else 0):
        port = int(broker.rpartition(":")[2].partition("/")[0])
        assert ask_redis(port, "FLUSHALL") == "+OK"
        time.sleep(0.2)
    in_site(site, "make_due()")
    site.wait_until(lambda: is_over(look(site)), every=2)
    assert check_done_once(look(site), platform) == {"sent": 40}
    tasks = site.manage(
        *("shell", "-v0", "-c"),
        "from events.models import TaskRun; print(*TaskRun.objects.filter(finished_at=None))",
    )
    assert tasks.strip() == ""

"""Real workers, each a process with a connection of its own, at the same codes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from random import Random

import pytest

from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault
from subscribers.tests.qr_codes.ticket_racer import fetch_all, prepare, states

pytestmark = pytest.mark.slow

CREATE = "/cgi-bin/qrcode/create"
SECRET = "5d41402abc4b2a76b9719d911017c592"
WORKERS = 4


@pytest.fixture
def server():
    fake = FakeWeChatAPI(random=Random(1), latency=(0.01, 0.05))
    fake.add_account("wx3a9f0c27d81be645", SECRET)
    with FakeWeChatAPIServer(fake) as running:
        yield running


def test_workers_that_race_ask_once_for_each_code(racers, race_database, server):
    racers.call(prepare, race_database, SECRET, 60)
    served = racers.race(fetch_all, [(race_database, server.url, 60.0)] * WORKERS)
    assert sum(served) == server.api.calls[CREATE] == 60
    assert sum(codes > 0 for codes in served) > 1
    assert set(racers.call(states, race_database)) == {(f"s{n}", "ready") for n in range(60)}


def test_what_a_killed_worker_was_at_is_done_after_its_lease(racers, race_database, server):
    racers.call(prepare, race_database, SECRET, 5)
    # It is killed in this call.
    server.api.make_trouble(CREATE, Fault(delay=1000))
    victim = multiprocessing.get_context("spawn").Process(
        target=fetch_all, args=(race_database, server.url, 4.0)
    )
    victim.start()
    while CREATE not in server.api.calls:
        assert victim.is_alive()
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    # There is one to fetch until the lease of the killed one is over.
    assert racers.call(fetch_all, race_database, server.url, 4.0) == 5
    assert Counter(state for _, state in racers.call(states, race_database)) == {"ready": 5}
    # The one that was cut off was asked for once more, and no other.
    assert server.api.calls[CREATE] == 6

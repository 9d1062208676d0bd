"""Two workers sync while eight processes post pushes of the same followers, late, in any order."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from random import Random

import pytest
from django.db import connection, connections
from django.utils import timezone

from events.models import EventLog
from events.platform import client
from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, ListedFollowers
from events.testing import make_account, message_xml
from subscribers.models import FollowerSync, Subscriber
from subscribers.state.rebuild import compare
from subscribers.sync.compare import sync_next
from subscribers.sync.profiles import fetch_profiles
from subscribers.tests.state.racer import post_all
from wechat_site.tests.racing import PROCESSES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SECRET = "5d41402abc4b2a76b9719d911017c592"
PEOPLE = 400


@pytest.fixture
def account(settings):
    database = str(settings.DATABASES["default"]["NAME"])
    if connection.vendor == "sqlite" and ("memory" in database or "mode=memory" in database):
        pytest.skip("SQLite's test database lives in one process's memory")
    return make_account(mode="plaintext", app_secret=SECRET)


@pytest.fixture
def people(account, settings):
    listed = ListedFollowers()
    fake = FakeWeChatAPI(random=Random(1), latency=(0.0, 0.01))
    fake.add_account(account.app_id, SECRET, followers=listed).page_size = 50
    with FakeWeChatAPIServer(fake) as server:
        settings.WECHAT_API_BASE = server.url
        yield listed
        client.close_wire()


def test_pushes_and_observations_of_the_same_people_come_to_what_wechat_says(
    account, people, racers
):
    draw = random.Random(3)
    start = int(time.time()) - 7200
    pushes: dict[int, list[bytes]] = defaultdict(list)
    for number in range(PEOPLE):
        openid = f"o{number:027d}"
        at, follows = start + draw.randrange(600), False
        for _ in range(draw.randrange(1, 6)):
            follows = not follows
            at += draw.randrange(1, 900)
            kind = "event.subscribe" if follows else "event.unsubscribe"
            # each push by one or several of the processes
            for process in draw.sample(range(PROCESSES), draw.randrange(1, 3)):
                pushes[process].append(message_xml(kind, openid=openid, at=at))
        people.add(Follower(openid, is_following=follows, followed_at=at))
    for share in pushes.values():
        draw.shuffle(share)

    ended = threading.Event()
    runs = []

    def work():
        try:
            while not ended.is_set():
                sync, _ = FollowerSync.objects.begin(account, origin="command", now=timezone.now())
                sync_next()
                fetch_profiles()
                sync.refresh_from_db()
                runs.append(sync)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    database = str(connection.settings_dict["NAME"])
    shares = [(database, pushes[number]) for number in range(PROCESSES)]
    codes = [code for share in racers.race(post_all, shares) for code in share]
    ended.set()
    for worker in workers:
        worker.join()

    assert set(codes) == {200}
    assert {sync.failure for sync in runs} == {""}
    finished = [sync for sync in runs if sync.state == "finished"]
    assert finished
    assert sum(sync.new for sync in finished) > 0
    assert EventLog.objects.exclude(source="callback").exists()
    fetch_profiles()
    following = set(Subscriber.objects.filter(is_following=True).values_list("openid", flat=True))
    assert following == set(people.page("", PEOPLE))
    assert list(compare()) == []

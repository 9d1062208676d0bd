"""Real processes, each with a connection of its own, at the same rows at the same moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection

from events.models import EventLog
from events.platform.client import wire
from events.testing import make_account, message_xml
from subscribers.binding.bind import start_binding
from subscribers.models import Binding, BindingRequest, BindingScan, QRScene, Subscriber
from subscribers.qr_codes.create import NewQRCode, create_qr_codes
from subscribers.qr_codes.fetch_tickets import fetch_scene_tickets
from subscribers.state.rebuild import compare
from subscribers.tests.state.racer import post_all
from wechat_site.tests.racing import PROCESSES, Racers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

NOW = int(time.time())

Race = Callable[..., list[int]]


@pytest.fixture
def race(racers: Racers) -> Race:
    """Each process posts its share of bodies, all beginning together; returns all status codes.

    Through the door before Django, several at a time, so that they are written in batches.
    """

    def race(share: Callable[[int], list[bytes]], *, batch_size: int = 500) -> list[int]:
        database = str(connection.settings_dict["NAME"])
        shares = [(database, share(number), batch_size) for number in range(PROCESSES)]
        return [code for codes in racers.race(post_all, shares) for code in codes]

    return race


@pytest.fixture
def shared_database(settings):
    database = str(settings.DATABASES["default"]["NAME"])
    if connection.vendor == "sqlite" and ("memory" in database or "mode=memory" in database):
        pytest.skip("SQLite's test database lives in one process's memory")


@pytest.fixture
def account(shared_database):
    return make_account(mode="plaintext")


sizes = pytest.mark.parametrize("batch_size", [1, 2, 500])


def shuffled(bodies: list[bytes], seed: int) -> list[bytes]:
    return random.Random(seed).sample(bodies, len(bodies))


@sizes
def test_one_push_delivered_by_all_is_one_row_counted_exactly(race, account, batch_size):
    body = message_xml("event.subscribe", at=NOW, EventKey="qrscene_poster")
    codes = race(lambda number: [body] * 5, batch_size=batch_size)
    assert codes == [200] * PROCESSES * 5
    assert EventLog.objects.get().delivery_count == PROCESSES * 5
    subscriber = Subscriber.objects.get()
    assert (subscriber.follow_count, subscriber.event_count) == (1, 1)
    assert list(compare()) == []


def test_a_push_with_a_reply_is_answered_once_and_counted_exactly(race, account):
    body = message_xml("event.CLICK", at=NOW, EventKey="K")
    assert race(lambda number: [body] * 5) == [200] * PROCESSES * 5
    event = EventLog.objects.get()
    assert (event.delivery_count, event.status) == (PROCESSES * 5, "processed")


@sizes
def test_different_events_of_one_follower_fold_to_what_the_log_says(race, account, batch_size):
    bodies = [
        message_xml(kind, at=NOW - number, EventKey=f"qrscene_s{number}", Ticket=str(number))
        for number in range(6)
        for kind in ("event.subscribe", "event.unsubscribe", "event.SCAN")
    ]
    assert set(race(lambda number: shuffled(bodies, number), batch_size=batch_size)) == {200}
    assert EventLog.objects.count() == len(bodies)
    assert list(compare()) == []
    subscriber = Subscriber.objects.get()
    assert (subscriber.follow_count, subscriber.unfollow_count) == (6, 6)


@sizes
def test_many_followers_in_every_order_meet_no_deadlock(race, account, batch_size):
    bodies = [
        message_xml("event.SCAN", openid=f"o{number}", at=NOW, EventKey="poster")
        for number in range(20)
    ]
    assert set(race(lambda number: shuffled(bodies, number), batch_size=batch_size)) == {200}
    assert Subscriber.objects.count() == EventLog.objects.count() == 20
    assert list(compare()) == []


def scan(scene: str, openid: str, at: int = NOW) -> bytes:
    return message_xml("event.SCAN", openid=openid, at=at, EventKey=scene)


def test_of_followers_racing_for_one_code_one_wins(race, account):
    user = User.objects.create_user("alice")
    request = start_binding(account=account, user=user)
    assert set(race(lambda number: [scan(request.scene, f"o{number}")])) == {200}
    assert Binding.objects.count() == 1
    outcomes = sorted(BindingScan.objects.values_list("outcome", "refused_reason"))
    assert outcomes == [("bound", "")] + [("refused", "used")] * (PROCESSES - 1)


def test_of_codes_one_follower_scans_at_once_one_wins(race, account):
    scenes = [
        start_binding(account=account, user=User.objects.create_user(f"u{number}")).scene
        for number in range(PROCESSES)
    ]
    assert set(race(lambda number: [scan(scenes[number], "o1", NOW + number)])) == {200}
    assert Binding.objects.count() == 1
    outcomes = sorted(BindingScan.objects.values_list("outcome", "refused_reason"))
    assert outcomes == [("bound", "")] + [("refused", "follower_bound")] * (PROCESSES - 1)
    assert BindingRequest.objects.open().count() == 0


@sizes
def test_all_at_once_leaves_no_follower_and_no_user_bound_twice(race, account, batch_size):
    scenes = [
        start_binding(account=account, user=User.objects.create_user(f"u{number}")).scene
        for number in range(4)
    ]
    bodies = [
        scan(scene, f"o{follower}", NOW + follower) for scene in scenes for follower in range(4)
    ]
    assert set(race(lambda number: shuffled(bodies, number), batch_size=batch_size)) == {200}
    bound = list(Binding.objects.active().values_list("subscriber", "user"))
    assert len({follower for follower, _ in bound}) == len(bound)
    assert len({user for _, user in bound}) == len(bound)
    assert BindingScan.objects.count() == len(bodies)
    assert list(compare()) == []


def test_workers_share_the_codes_and_fetch_each_once(shared_database, shop, at_wechat, fake):
    fake.latency = (0.01, 0.03)
    wire()  # one for all threads, that the fixture closes
    create_qr_codes(
        shop, [NewQRCode(f"Poster {number}", f"poster-{number}") for number in range(60)]
    )

    def work(_worker: int) -> int:
        try:
            served = 0
            while number := fetch_scene_tickets():
                served += number
            return served
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 60
    assert sorted(code.scene for code in at_wechat.codes) == sorted(
        f"poster-{number}" for number in range(60)
    )
    assert {scene.state for scene in QRScene.objects.all()} == {QRScene.State.READY}


def test_scans_and_codes_racing_leave_nobody_bound_twice(race, account):
    users = [User.objects.create_user(f"u{number}") for number in range(4)]
    scenes = [start_binding(account=account, user=user).scene for user in users[:2]]
    codes = [
        start_binding(account=account, user=user, way=BindingRequest.Way.CODE).code
        for user in users[2:]
    ]
    bodies = [scan(scene, f"o{n}", NOW + n) for scene in scenes for n in range(3)] + [
        message_xml("text", openid=f"o{n}", at=NOW + n, Content=code, MsgId=10 * k + n + 1)
        for k, code in enumerate(codes)
        for n in range(3)
    ]
    assert set(race(lambda number: shuffled(bodies, number))) == {200}
    bound = list(Binding.objects.active().values_list("subscriber", "user"))
    assert bound
    assert len({follower for follower, _ in bound}) == len(bound)
    assert len({user for _, user in bound}) == len(bound)
    assert BindingScan.objects.count() == len(bodies)
    assert list(compare()) == []

"""Real processes, each with a connection of its own, at the same rows at the same moment."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection

from events.models import EventLog, OfficialAccount
from events.platform.client import wire
from events.testing import make_account, message_xml
from subscribers.binding.bind import start_binding
from subscribers.binding.codes import MOST_BY_ACCOUNT, MOST_BY_FOLLOWER, new_code
from subscribers.models import Binding, BindingRequest, BindingScan, QRScene, Subscriber
from subscribers.qr_codes.create import NewQRCode, create_qr_codes
from subscribers.qr_codes.fetch_tickets import fetch_scene_tickets
from subscribers.state.rebuild import compare
from subscribers.tests.state.racer import THREADS, post_all
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


def text(content: str, openid: str, at: int, number: int, **fields: str) -> bytes:
    return message_xml("text", openid=openid, at=at, Content=content, MsgId=number, **fields)


def check_bindings(scans: int) -> None:
    """Nobody is bound twice, and scans, requests and bindings tell the same story."""
    bound = list(Binding.objects.active().values_list("subscriber", "user"))
    assert len({follower for follower, _ in bound}) == len(bound)
    assert len({user for _, user in bound}) == len(bound)
    outcomes = Counter(BindingScan.objects.values_list("outcome", flat=True))
    assert outcomes["bound"] == Binding.objects.count()
    assert sum(outcomes.values()) == scans
    for request in BindingRequest.objects.exclude(completed_at=None):
        assert request.binding is not None
        assert request.binding.user_id == request.user_id
    assert list(compare()) == []


def spread(bodies: list[bytes]) -> Callable[[int], list[bytes]]:
    """Each process has its part of the bodies, in an order of chance."""
    mixed = shuffled(bodies, 1)
    return lambda number: mixed[number::PROCESSES]


asks = pytest.mark.parametrize("asks_first", [False, True])
CODE = BindingRequest.Way.CODE


@asks
@pytest.mark.parametrize("way", BindingRequest.Way)
def test_of_fifty_answers_to_one_request_one_binds(race, account, asks_first, way):
    OfficialAccount.objects.update(ask_before_binding=asks_first)
    request = start_binding(account=account, user=User.objects.create_user("alice"), way=way)
    bodies = [
        text(request.code, f"o{n}", NOW, n) if way == CODE else scan(request.scene, f"o{n}")
        for n in range(50)
    ]
    assert set(race(spread(bodies))) == {200}
    if asks_first:
        assert Binding.objects.count() == 0
        # All say yes at once, and each of the fifty says it twice.
        answers = [text("绑定", f"o{n % 50}", NOW + 1, 100 + n) for n in range(100)]
        assert set(race(spread(answers))) == {200}
    assert Binding.objects.count() == 1
    asked = BindingScan.objects.filter(outcome="asked").count()
    assert asked == asks_first
    check_bindings(scans=50 + asks_first)


@asks
def test_of_fifty_requests_by_both_ways_one_follower_is_bound_by_one(race, account, asks_first):
    OfficialAccount.objects.update(ask_before_binding=asks_first)
    bodies = []
    for n in range(50):
        user = User.objects.create_user(f"u{n}")
        request = start_binding(account=account, user=user, way=list(BindingRequest.Way)[n % 2])
        by_code = bool(request.code)
        bodies.append(
            text(request.code, "o1", NOW + n, n) if by_code else scan(request.scene, "o1", NOW + n)
        )
        if asks_first:
            # To whichever question is open then.
            bodies.append(text("bind", "o1", NOW + n, 100 + n))
    assert set(race(spread(bodies))) == {200}
    if asks_first:
        # A late scan withdraws a newer question, and then that yes binds nothing. In order it does.
        fresh = start_binding(account=account, user=User.objects.create_user("last"))
        for body in (scan(fresh.scene, "o1", NOW + 60), text("bind", "o1", NOW + 61, 999)):
            assert set(race(lambda number, body=body: [body])) == {200}
    assert Binding.objects.count() == 1
    check_bindings(scans=BindingScan.objects.count())


@asks
def test_an_end_racing_with_new_bindings_leaves_nobody_bound_twice(race, account, asks_first):
    OfficialAccount.objects.update(ask_before_binding=asks_first)
    bodies = []
    for n in range(12):
        user = User.objects.create_user(f"u{n}")
        request = start_binding(account=account, user=user, way=list(BindingRequest.Way)[n % 2])
        # Two of three followers want each code, and end what they have meanwhile.
        for place, openid in enumerate((f"o{n % 3}", f"o{(n + 1) % 3}")):
            number = 10 * n + 5 * place
            bodies += [
                text(request.code, openid, NOW + n, number)
                if request.code
                else scan(request.scene, openid, NOW + n),
                text("解绑", openid, NOW + n, number + 1),
                text("绑定", openid, NOW + n, number + 2),
            ]
    assert set(race(spread(bodies))) == {200}
    check_bindings(scans=BindingScan.objects.count())


def test_guesses_of_many_followers_end_at_the_limit_and_the_true_one_is_heard(race, account):
    users = [User.objects.create_user(f"u{n}") for n in range(2)]
    found, true = (start_binding(account=account, user=user, way=CODE) for user in users)
    guessers, tries = 40, 12
    # The limit is one of the last ten minutes, and all tests may take longer.
    now = int(time.time())
    bodies = [text(new_code(), f"guesser{n % guessers}", now, n) for n in range(guessers * tries)]
    shares = spread(bodies)
    # At last each process guesses right, when its followers have erred before; in the midst of all
    # the true follower sends what the page shows.
    begun = time.monotonic()

    def share(number: int) -> list[bytes]:
        mine: list[bytes] = shares(number)
        if number == 0:
            mine.insert(len(mine) // 2, text(true.code, "true", now, 10_000))
        return mine

    assert set(race(share)) == {200}
    rate = len(bodies) / (time.monotonic() - begun)
    late = [text(found.code, f"guesser{n}", now, 20_000 + n) for n in range(guessers)]
    assert set(race(spread(late))) == {200}
    bound = Binding.objects.get()
    assert (bound.subscriber.openid, bound.user) == ("true", users[1]), f"{rate:.0f} tries a second"
    wrong = BindingScan.objects.filter(refused_reason="unknown")
    by_follower = Counter(wrong.values_list("subscriber__openid", flat=True))
    assert max(by_follower.values()) <= MOST_BY_FOLLOWER
    # Those under way at the limit do not see each other.
    under_way = PROCESSES * THREADS
    assert wrong.count() <= MOST_BY_ACCOUNT + guessers + under_way
    late_ones = BindingScan.objects.filter(request=found)
    assert late_ones.count() == 0
    assert list(compare()) == []

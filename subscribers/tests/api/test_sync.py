"""Readers who keep a copy of the followers by `updated_after`."""

from __future__ import annotations

import datetime
import threading
import time

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from events.models import ApiKey
from events.people.scopes import READ_SCOPES
from events.testing import make_account, message_xml
from events.wechat.api.users import Profile
from subscribers.binding.bind import unbind
from subscribers.fold.rules import State
from subscribers.models import Binding, Subscriber
from subscribers.sync.profiles import write_profiles
from subscribers.tests.state.racer import post_all
from wechat_site.tests.racing import PROCESSES

NOW = int(time.time())
LONG_AGO = "1970-01-01T00:00:00Z"


class Copy:
    """A copy of all followers, kept as the documentation says."""

    def __init__(self, page_size=50):
        _, key = ApiKey.issue(
            user=User.objects.create_superuser("reader"), scopes=list(READ_SCOPES)
        )
        self._headers = {"Authorization": f"Token {key}"}
        self._client = Client()
        self._page_size = page_size
        self.watermark = LONG_AGO
        self.rows = {}

    def get(self, url, **query):
        return self._client.get(url, query, headers=self._headers)

    def sync(self):
        query = {"updated_after": self.watermark, "page_size": self._page_size}
        response = self.get("/api/v1/subscribers/", **query)
        page = response.json()
        assert response.status_code == 200
        if not page["settled"]:
            assert response["Retry-After"]
            return False
        if page["results"]:
            self.watermark = page["results"][0]["updated_at"]
        while True:
            times = [row["updated_at"] for row in page["results"]]
            assert times == sorted(times, reverse=True)
            self.rows |= {row["id"]: row for row in page["results"]}
            if page["next"] is None:
                return True
            page = self.get(page["next"]).json()

    def stale(self):
        shown, url = {}, "/api/v1/subscribers/?page_size=1000"
        while url:
            page = self.get(url).json()
            shown |= {row["id"]: row for row in page["results"]}
            url = page["next"]
        return {pk for pk in shown | self.rows if shown.get(pk) != self.rows.get(pk)}


def fold(account, *openids, at=0):
    moment = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=at)
    state = State(last_followed_at=moment, follow_count=1, event_count=1)
    Subscriber.objects.fold({(account.pk, openid): state for openid in openids})


@pytest.fixture
def account(transactional_db):
    return make_account(mode="plaintext")


@pytest.mark.slow
def test_no_row_is_stale_after_a_sync_beside_traffic(account, racers):
    database = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and "memory" in database:
        pytest.skip("SQLite's test database lives in one process's memory")
    fold(account, *(f"o{number}" for number in range(100)))
    people = list(Subscriber.objects.order_by("pk")[:20])
    for number, subscriber in enumerate(people):
        Binding.objects.create(
            account=account, subscriber=subscriber, user=User.objects.create_user(f"u{number}"),
            bound_at=timezone.now(), event_id=1, event_time=timezone.now(),
        )  # fmt: skip
    copy = Copy()
    kinds = ["event.subscribe", "event.unsubscribe", "text"]
    shares = [
        (
            database,
            [
                message_xml(
                    kinds[(push + process) % 3], openid=f"o{(7 * push + process) % 150}",
                    at=NOW - push, Content="解绑", MsgId=1000 * process + push,
                )
                for push in range(120)
            ],
            20,
        )
        for process in range(PROCESSES - 1)
    ]  # fmt: skip
    results = racers.begin(post_all, shares)
    syncs = 0
    while not all(result.ready() for result in results):
        syncs += copy.sync()
    assert {code for result in results for code in result.get()} == {200}
    assert syncs
    while not copy.sync():
        time.sleep(0.1)
    assert copy.stale() == set()
    assert len(copy.rows) == 150


@pytest.mark.slow
def test_changes_that_are_committed_late_are_not_passed_over(account):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, and in memory it locks whole tables")
    fold(account, *(f"o{number}" for number in range(10)))
    copy = Copy()
    copy.sync()
    stop = threading.Event()

    def write(seed):
        number = 0
        while not stop.is_set():
            with transaction.atomic():
                fold(account, f"o{seed}", at=number)
                time.sleep(0.02 * (seed % 3))
            number += 1
        connections.close_all()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        copy.sync()
    stop.set()
    for thread in threads:
        thread.join()
    copy.sync()
    assert copy.stale() == set()


@pytest.mark.postgres
def test_a_sync_that_a_long_transaction_holds_up_says_so(account, monkeypatch):
    monkeypatch.setattr("events.log.settled._WAIT", 0.1)
    fold(account, "o1", "o2")
    copy = Copy()
    assert copy.sync()
    changed, go_on = threading.Event(), threading.Event()

    def write():
        with transaction.atomic():
            fold(account, "o1", at=9)
            changed.set()
            go_on.wait(10)
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    changed.wait(10)
    fold(account, "o2", at=9)
    before = copy.watermark
    response = copy.get("/api/v1/subscribers/", updated_after=before)
    assert (response.status_code, response.json()["settled"]) == (200, False)
    assert (response.json()["results"], response["Retry-After"]) == ([], "2")
    go_on.set()
    thread.join()
    assert copy.sync()
    assert copy.stale() == set()


# --- What moves updated_at ---


@pytest.fixture
def seen(account):
    fold(account, "o1")
    subscriber = Subscriber.objects.get()
    before = subscriber.updated_at

    def moved():
        nonlocal before
        time.sleep(0.002)  # SQLite's clock has milliseconds
        yield
        subscriber.refresh_from_db()
        assert subscriber.updated_at > before
        before = subscriber.updated_at

    from contextlib import contextmanager

    return subscriber, contextmanager(moved)


def test_every_visible_change_moves_updated_at(account, seen):
    subscriber, moved = seen
    user = User.objects.create_user("alice")
    with moved():
        fold(account, "o1", at=1)
    binding = Binding.objects.create(
        account=account, subscriber=subscriber, user=user, bound_at=timezone.now(), event_id=1,
        event_time=timezone.now(),
    )  # fmt: skip
    with moved():
        user.username = "alice2"
        user.save()
    with moved():
        unbind(binding)
    with moved(), transaction.atomic():
        profile = Profile(openid="o1", is_following=True, unionid="u", tag_ids=(2,))
        write_profiles(account, [profile], timezone.now())


def test_a_binding_and_an_unbinding_by_message_move_updated_at(account, seen):
    from events.testing import push
    from subscribers.binding.bind import start_binding

    _, moved = seen
    request = start_binding(account=account, user=User.objects.create_user("alice"))
    with moved():
        push(account, message_xml("event.SCAN", openid="o1", at=NOW, EventKey=request.scene))
    assert Binding.objects.active().exists()
    with moved():
        push(account, message_xml("text", openid="o1", at=NOW + 2, Content="解绑", MsgId="1"))
    assert not Binding.objects.active().exists()


def test_a_sign_in_of_the_bound_user_moves_nothing(account, seen):
    subscriber, _ = seen
    user = User.objects.create_user("alice")
    Binding.objects.create(
        account=account, subscriber=subscriber, user=user, bound_at=timezone.now(), event_id=1,
        event_time=timezone.now(),
    )  # fmt: skip
    user.save(update_fields=["last_login"])
    before = subscriber.updated_at
    subscriber.refresh_from_db()
    assert subscriber.updated_at == before


def test_updated_at_never_goes_backwards(account):
    fold(account, "o1")
    ahead = timezone.now() + datetime.timedelta(days=1)
    Subscriber.objects.update(updated_at=ahead)
    fold(account, "o1", at=1)
    Subscriber.objects.all().touch()
    assert Subscriber.objects.get().updated_at == ahead


def test_pages_of_one_moment_and_of_several_hours_come_in_order(account):
    fold(account, *(f"o{number}" for number in range(30)))
    begin = datetime.datetime(2026, 11, 1, 9, tzinfo=datetime.UTC)
    for number, pk in enumerate(Subscriber.objects.values_list("pk", flat=True)):
        moment = begin + datetime.timedelta(minutes=25 * (number // 3))
        Subscriber.objects.filter(pk=pk).update(updated_at=moment)
    copy = Copy(page_size=4)
    assert copy.sync()
    assert len(copy.rows) == 30
    assert copy.stale() == set()

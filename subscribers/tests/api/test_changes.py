"""Readers who keep a copy of everything by `changes/`."""

from __future__ import annotations

import datetime
import random
import threading
import time
from contextlib import suppress

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.utils import timezone

from events.log.row_changes import forget_old_changes
from events.models import ApiKey, EventLog, RowChange
from events.people.scopes import READ_SCOPES
from events.testing import make_account
from subscribers.fold.rules import State
from subscribers.models import Binding, OutgoingMessage, QRScene, SceneTag, Subscriber

LISTS = {
    "event": "events", "subscriber": "subscribers", "binding": "bindings", "message": "messages",
    "scene": "scenes",
}  # fmt: skip
FIRST = "/api/v1/changes/"
START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


class Copy:
    """A copy of all that the API shows, kept as the documentation says."""

    def __init__(self, scopes=READ_SCOPES, user="reader", accounts=()):
        owner, _ = User.objects.get_or_create(username=user, defaults={"is_superuser": True})
        _, key = ApiKey.issue(user=owner, scopes=list(scopes), accounts=accounts)
        self._headers = {"Authorization": f"Token {key}", "Accept-Language": "en"}
        self._client = Client()
        self.rows = {}
        self.next = f"{FIRST}?page_size=30"

    def get(self, url, **query):
        return self._client.get(url, query, headers=self._headers)

    def read(self):
        """One page; returns how many rows it had, None while something is held up."""
        page = self.get(self.next).json()
        for change in page["results"]:
            key = (change["type"], change["id"])
            if change["object"] is None:
                self.rows.pop(key, None)
            else:
                assert change["object"]["id"] == change["id"]
                self.rows[key] = change["object"]
        self.next = page["next"]
        return len(page["results"]) if page["settled"] else None

    def catch_up(self):
        while self.read() != 0:
            pass

    def shown(self):
        found = {}
        for type_, name in LISTS.items():
            url = f"/api/v1/{name}/?page_size=1000"
            while url:
                page = self.get(url).json()
                found |= {(type_, row["id"]): row for row in page["results"]}
                url = page["next"]
        return found

    def stale(self):
        shown = self.shown()
        return {key for key in shown | self.rows if shown.get(key) != self.rows.get(key)}


def store(account, number):
    at = START + datetime.timedelta(seconds=number)
    return EventLog.objects.create(
        account=account, kind="text", msg_type="text", openid=f"o{number % 7}", event_time=at,
        received_at=at, last_delivered_at=at, dedup_key=f"{number:032x}", raw=b"<xml></xml>",
        status="received",
    )  # fmt: skip


def fold(account, number):
    at = START + datetime.timedelta(seconds=number)
    state = State(last_followed_at=at, follow_count=1, event_count=1)
    Subscriber.objects.fold({(account.pk, f"o{number % 40}"): state})


def write(account, dice, number):
    """Something that a site writes: rows of each sort, and changes of them."""
    now = timezone.now()
    follower = Subscriber.objects.filter(openid=f"o{dice.randrange(40)}").first()
    match dice.randrange(10):
        case 0 | 1:
            store(account, number)
        case 2:
            old = EventLog.objects.order_by("?").first()
            EventLog.objects.filter(pk=old and old.pk).update(status="processed", error=str(number))
        case 3 | 4:
            fold(account, number)
        case 5:
            QRScene.objects.create(account=account, scene=f"s{number}", name=f"n{number}")
        case 6:
            scene = QRScene.objects.order_by("?").first()
            if scene and number % 3 == 0:
                QRScene.objects.filter(pk=scene.pk).update(due_at=None, failure=f"f{number}")
            elif scene and number % 3 == 1:
                # The admin saves a code before its tags, and so locks it.
                with transaction.atomic():
                    QRScene.objects.filter(pk=scene.pk).lock()
                    scene.tags.set(SceneTag.named([f"t{number % 5}"]))
            elif scene:
                scene.delete()
        case 7 if follower:
            OutgoingMessage.objects.create(
                account=account, subscriber=follower, kind="text", payload={"content": str(number)},
                window_until=now,
            )  # fmt: skip
        case 8:
            first = OutgoingMessage.objects.order_by("?").first()
            OutgoingMessage.objects.filter(pk=first and first.pk).update(
                state="sent", sent_at=now, due_at=None
            )
        case 9 if follower:
            user, _ = User.objects.get_or_create(username=f"u{number}")
            if not Binding.objects.active().filter(subscriber=follower).update(unbound_at=now):
                Binding.objects.create(
                    account=account, subscriber=follower, user=user, bound_at=now, event_id=number,
                    event_time=now,
                )  # fmt: skip
            Subscriber.objects.filter(pk=follower.pk).touch()


@pytest.fixture
def account(db):
    return make_account(mode="plaintext")


@pytest.mark.slow
def test_a_copy_made_page_by_page_beside_changes_misses_none(account):
    dice = random.Random(4)
    for number in range(150):
        write(account, dice, number)
    copy = Copy()
    for number in range(150, 400):
        write(account, dice, number)
        if number % 3 == 0:
            copy.read()
    copy.catch_up()
    assert copy.stale() == set()
    assert {type_ for type_, _ in copy.rows} == set(LISTS)
    # What comes later comes alone.
    EventLog.objects.filter(pk=EventLog.objects.earliest("pk").pk).update(error="late")
    QRScene.objects.latest("pk").delete()
    assert copy.read() == 2
    assert copy.read() == 0
    assert copy.stale() == set()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_copy_beside_writers_that_commit_out_of_order_misses_none():
    account = make_account(mode="plaintext")
    for number in range(60):
        write(account, random.Random(number), number)

    def run(seed):
        dice = random.Random(seed)
        for turn in range(60):
            # A scene may be deleted while another writer tags it: that one has written nothing.
            with suppress(IntegrityError), transaction.atomic():
                # The second waits for nobody, so writers cannot wait for each other in a circle.
                write(account, dice, 10_000 * seed + turn)
                store(account, 10_000 * seed + 1000 + turn)
                time.sleep(0.001 * dice.randrange(6))
        connections.close_all()

    writers = [threading.Thread(target=run, args=(seed,)) for seed in range(1, 5)]
    copy = Copy()
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        copy.read()
    copy.catch_up()
    assert copy.stale() == set()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": "x"}, "after"), ({"after": "W10"}, "after"), ({"after": "\0"}, "after"),
        ({"after": ""}, "after"), ({"types": "event,shop"}, "types"), ({"types": ""}, "types"),
        ({"page_size": "9"}, "page_size"), ({"limit": "9"}, "limit"),
        ({"types": ["event", "scene"]}, "types"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_400(account, query, field):
    response = Copy().get(FIRST, **query)
    assert (response.status_code, list(response.json()["errors"])) == (400, [field])


def test_a_key_reads_its_own_scopes_alone(account):
    store(account, 1)
    QRScene.objects.create(account=account, scene="s", name="n")
    copy = Copy(["events:read"])
    copy.catch_up()
    assert {type_ for type_, _ in copy.rows} == {"event"}
    assert copy.get(FIRST, types="event,scene").status_code == 403
    everything = Copy().get(FIRST).json()["next"].replace("types", "x").partition("&")[0]
    assert copy.get(everything).status_code == 403
    assert Client().get(FIRST).status_code == 401


def test_a_limited_key_gets_the_deletions_of_its_accounts_alone(account):
    other = make_account("hats", mode="plaintext")
    copies = [Copy(accounts=[account]), Copy(accounts=[account, other]), Copy()]
    at = timezone.now()
    for number, each in enumerate((account, other)):
        fold(each, number)
        follower = Subscriber.objects.get(account=each)
        user = User.objects.create(username=each.slug)
        code = QRScene.objects.create(account=each, scene="s", name="n")
        code.tags.set(SceneTag.named(["t"]))
        of_follower = {"account": each, "subscriber": follower}
        Binding.objects.create(
            **of_follower, user=user, bound_at=at, event_id=number, event_time=at
        )
        OutgoingMessage.objects.create(**of_follower, kind="text", payload={}, window_until=at)
    for copy in copies:
        copy.catch_up()
    tables = {"binding": Binding, "message": OutgoingMessage, "scene": QRScene}
    rows = {
        each: {(name, table.objects.get(account=each).pk) for name, table in tables.items()}
        for each in (account, other)
    }
    for table in tables.values():
        table.objects.all().delete()
    everywhere = rows[account] | rows[other]
    for copy, seen in zip(copies, (rows[account], everywhere, everywhere), strict=True):
        results = copy.get(copy.next).json()["results"]
        assert {(each["type"], each["id"]) for each in results} == seen
        assert all(each["object"] is None for each in results)


def test_a_cursor_that_is_too_old_is_refused_and_notes_are_forgotten(account, monkeypatch):
    events = [store(account, number) for number in range(3)]
    copy = Copy()
    copy.catch_up()
    EventLog.objects.all().update(error="changed")
    later = timezone.now() + datetime.timedelta(days=31)
    assert forget_old_changes(later) == 2
    assert RowChange.objects.filter(type="event").count() == 1
    with monkeypatch.context() as patch:
        patch.setattr("subscribers.api.changes.timezone.now", lambda: later)
        response = copy.get(copy.next)
    assert (response.status_code, response.json()["code"]) == (410, "cursor_expired")
    EventLog.objects.filter(pk=events[0].pk).update(error="again")
    assert copy.read() == 2


def test_head_needs_the_scopes_that_get_needs(account):
    copy = Copy(["scenes:read"])

    def head(**query):
        return copy._client.head(FIRST, query, headers=copy._headers)

    assert copy.get(FIRST, types="event").status_code == 403
    assert head(types="event").status_code == 403
    assert head().status_code == 200

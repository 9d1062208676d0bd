"""A night of one site, minute by minute: each trouble is told in its time, once, and its end too.

The clock is the test's: the worker looks every minute, the web processes every 30 seconds. Pushes,
calls of WeChat's API and messages to the channels are real requests.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import shutil
from collections import namedtuple
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from events.alerts.guard import look_for_worker
from events.alerts.send import send_messages
from events.alerts.watch import watch
from events.callback.refusals import store_refusals
from events.models import (
    Alert,
    AlertChannel,
    AlertMessage,
    ApiKey,
    HealthCount,
    OfficialAccount,
    SharedAccessToken,
    TaskRun,
)
from events.platform.client import wire
from events.platform.tokens import SharedTokens
from events.testing import make_account, message_xml, push
from events.wechat.api import APIError

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)
AT_ONCE, DUTY, OFFICE = "/hook", "/duty", "/office"


@dataclass
class Message:
    """One that arrived, and when by the site's clock."""

    at: str
    channel: str
    kind: str
    title: str
    text: str


class Night:
    """A site with three accounts: one has pushes by night, one all the time, one by day alone."""

    def __init__(self, accounts, received, monkeypatch):
        self.shop, self.books, self.garden = accounts
        self.midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        self.now = self.at("00:00")
        self.messages = []
        self.worker_runs = self.shop_has_pushes = True
        # The account as WeChat knows it: its token there may be another.
        self.books_there = copy.copy(self.books)
        self.free = 50
        self._received = received
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(timezone, "now", lambda: self.now.astimezone(datetime.UTC))
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _: usage(100 << 30, 50 << 30, self.free << 30)
        )

    def at(self, clock):
        hours, minutes = clock.split(":")
        return self.midnight + datetime.timedelta(hours=int(hours), minutes=int(minutes))

    def until(self, clock):
        """Lives until that time, in steps of half a minute."""
        while self.now < self.at(clock):
            self.now += MINUTE / 2
            store_refusals()
            look_for_worker(timezone.now())
            if self.now.second == 0:
                self._push()
                self._work()
            self._read()

    def _push(self):
        minute = int((self.now - self.midnight) / MINUTE)
        said = message_xml("text", Content="Hello", MsgId=10**9 + minute)
        if self.shop_has_pushes and minute % 3 == 0:
            assert push(self.shop, said).status_code == 200
        push(self.books_there, said)
        store_refusals()

    def _work(self):
        if not self.worker_runs:
            return
        TaskRun.objects.note("events", served=0, finished_at=timezone.now())
        with contextlib.suppress(APIError):
            SharedTokens(self.shop, wire(), now=lambda: timezone.now()).get()
        watch()
        send_messages()

    def _read(self):
        for body in self._received[len(self.messages) :]:
            at = f"{self.now:%H:%M}"
            self.messages.append(
                Message(at, body["path"], body["type"], body["title"], body["message"])
            )

    def told(self, channel):
        """By title the kinds and times of what arrived at a channel."""
        found = {}
        for message in self.messages:
            if message.channel == channel:
                found.setdefault(message.title, []).append((message.kind, message.at))
        return found


@pytest.fixture
def night(shop, at_wechat, received, monkeypatch):
    books = make_account("books", name="Birch Books", app_id="wx5c1e8b94d20f7a63")
    garden = make_account("garden", name="Elm Garden", app_id="wx81d0a7be5f2c3a9f")
    night = Night((shop, books, garden), received, monkeypatch)
    weeks_ago = night.midnight - 27 * DAY
    # A change of an account ends the pause after a refused token, so none may fall into the night.
    for account in (shop, books, garden):
        account.updated_at = weeks_ago
    OfficialAccount.objects.update(updated_at=weeks_ago)
    HealthCount.objects.bulk_create(
        HealthCount(account=account, start=weeks_ago + 60 * hour * MINUTE, received=27 * in_an_hour)
        for account, hours, in_an_hour in ((shop, range(24), 20), (garden, range(9, 22), 60))
        for hour in hours
    )
    night.now = night.midnight - 121 * MINUTE
    push(garden, message_xml("text", Content="Good night", MsgId=1))
    night.now = night.at("02:55")
    TaskRun.objects.note("events", served=0, finished_at=timezone.now())
    quiet = {"quiet_from": datetime.time(22), "quiet_to": datetime.time(5)}
    for path, columns in (
        (AT_ONCE, {}),
        (DUTY, quiet),
        (OFFICE, {**quiet, "urgent_always": False}),
    ):
        url = received.url.replace(AT_ONCE, path)
        AlertChannel.objects.create(name=path, url=url, language="en", **columns)
    return night


# What is told at once, by title: kind, and the times between which it has to arrive.
EXPECTED = {
    # 20 pushes an hour come at night too: 5 are missing after 15 minutes, 15 after 45.
    "Spruce Books: silence": [("warning", "03:12", "03:16"), ("failure", "03:42", "03:46")],
    "Over: Spruce Books: silence": [("success", "04:00", "04:02")],
    # The fifth refusal in ten minutes; over when these have no refusal and some calm has passed.
    "Birch Books: refused pushes": [("failure", "03:09", "03:11"), ("failure", "05:24", "05:26")],
    "Over: Birch Books: refused pushes": [
        ("success", "03:40", "03:47"),
        ("success", "06:15", "06:30"),
    ],
    "Spruce Books: address refused": [("failure", "03:20", "03:22")],
    "Over: Spruce Books: address refused": [("success", "03:50", "03:53")],
    "the site: disk nearly full": [("failure", "03:50", "03:52")],
    "Over: the site: disk nearly full": [("success", "04:10", "04:12")],
    "the site: worker": [("failure", "04:17", "04:18")],
    "Over: the site: worker": [("success", "04:30", "04:31")],
    "the site: API key about to expire": [("warning", "04:35", "04:37")],
    "Over: the site: API key about to expire": [("success", "05:15", "05:17")],
}
MORNING = "05:00"


def assert_near(told, expected):
    """Each channel is told by itself, and where a request fails again a minute later."""
    assert told.keys() == expected.keys()
    for title, messages in expected.items():
        assert [kind for kind, _at in told[title]] == [kind for kind, _at in messages], title
        for (_kind, at), (_, wanted) in zip(told[title], messages, strict=True):
            assert abs(minutes(at) - minutes(wanted)) <= 1, title


def minutes(clock):
    hours, _, rest = clock.partition(":")
    return 60 * int(hours) + int(rest)


def test_a_night_with_every_trouble(night, at_wechat):
    night.until("03:00")
    assert SharedAccessToken.objects.get().access_token
    night.shop_has_pushes = False

    night.until("03:05")
    night.books_there.token = "AnotherTokenInTheConsole"
    night.until("03:20")
    at_wechat.allowed_addresses = frozenset({"203.0.113.9"})
    SharedAccessToken.objects.update(expires_at=timezone.now())
    night.until("03:25")
    night.books_there.token = night.books.token

    night.until("03:40")
    at_wechat.allowed_addresses = None
    night.until("03:50")
    night.shop_has_pushes = True
    night.free = 3
    night.until("04:00")
    night.free = 50

    night.until("04:15")
    night.worker_runs = False
    night.until("04:30")
    night.worker_runs = True

    user = User.objects.create_superuser("robot")
    ends = night.at("04:35") + 14 * DAY
    ApiKey.issue(user=user, scopes=[], name="warehouse", expires_at=ends)
    night.until("05:05")
    ApiKey.objects.update(revoked_at=timezone.now())

    # The token is right and wrong in turns: one alert, however often.
    for wrong, right in (("05:20", "05:26"), ("05:35", "05:41"), ("05:50", "05:56")):
        night.until(wrong)
        night.books_there.token = "AnotherTokenInTheConsole"
        night.until(right)
        night.books_there.token = night.books.token
    night.until("06:30")

    at_once = night.told(AT_ONCE)
    assert at_once.keys() == EXPECTED.keys()
    for title, expected in EXPECTED.items():
        kinds = [kind for kind, _earliest, _latest in expected]
        assert [kind for kind, _at in at_once[title]] == kinds, title
        for (_kind, at), (_, earliest, latest) in zip(at_once[title], expected, strict=True):
            assert earliest <= at <= latest, title

    # Only what is down wakes: the rest waits for the morning, unless something worse was told.
    on_duty = {
        title: [(kind, at if kind == "failure" else max(at, MORNING)) for kind, at in messages]
        for title, messages in at_once.items()
    }
    del on_duty["Spruce Books: silence"][0]
    assert_near(night.told(DUTY), on_duty)
    # Nothing wakes the office: of what is over by the morning it hears nothing.
    in_the_office = {
        title: [(kind, max(at, MORNING)) for kind, at in messages if at > "04:31"]
        for title, messages in at_once.items()
        if messages[-1][1] > "04:31"
    }
    assert_near(night.told(OFFICE), in_the_office)
    words = {message.title: message.text for message in night.messages}
    assert (
        "address 127.0.0.1 is not on the account's IP list"
        in words["Spruce Books: address refused"]
    )
    assert "No pushes for 4" in words["Spruce Books: silence"]
    assert "SignatureMismatch" in words["Birch Books: refused pushes"]
    assert "of the disk with" in words["the site: disk nearly full"]
    assert "the first in 13 days: warehouse" in words["the site: API key about to expire"]
    assert not AlertMessage.objects.waiting().exists()
    assert not Alert.objects.filter(ended_at=None).exists()

"""A follower sync while people come and go, in every order that a machine can think of."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.log.process import deliver
from events.models import EventLog
from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, ListedFollowers
from events.testing import make_account
from events.wechat.api import AppCredentials
from subscribers.models import FollowerSync, Subscriber
from subscribers.state.rebuild import compare
from subscribers.sync.compare import carry_on
from subscribers.sync.profiles import fetch_batch
from subscribers.tests.in_process import in_process_client

SECRET = "5d41402abc4b2a76b9719d911017c592"
START = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
PEOPLE = 5
LEASE = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class Act:
    """Somebody does something `after` tenths of a second; the push is there, late, or lost."""

    who: int
    after: int
    push: str

    @property
    def openid(self) -> str:
        return f"oPERSON{self.who:021}"


def acts(pushes: list[str], most: int) -> st.SearchStrategy[list[Act]]:
    # Few tenths: several acts in one second are the rule.
    one = st.builds(Act, st.integers(0, PEOPLE - 1), st.integers(0, 12), st.sampled_from(pushes))
    return st.lists(one, max_size=most)


class Killed(BaseException):
    """The process ends here."""


class World:
    """The people, the platform's clock and ours, which is the same, and the pushes under way."""

    def __init__(self) -> None:
        self.account = make_account(mode="plaintext", app_secret=SECRET)
        self.people = ListedFollowers()
        self.fake = FakeWeChatAPI(random=Random(1), now=lambda: self.now.timestamp())
        fake_account = self.fake.add_account(self.account.app_id, SECRET, followers=self.people)
        fake_account.page_size = 2
        self.now = START
        self.late: list[EventLog] = []
        self.pending: list[list[Act]] = []
        self.kill_at: set[int] = set()
        self._moments = 0
        self._number = 0
        self.client = in_process_client(
            self.fake,
            AppCredentials(self.account.app_id, SECRET),
            between=self._between,
            now=lambda: self.now.timestamp(),
        )

    def do(self, act: Act) -> None:
        """Follows or leaves, whichever is possible."""
        self.now += datetime.timedelta(milliseconds=100 * act.after)
        person = self.people.find(act.openid)
        follows = not (person and person.is_following)
        at = self.now.replace(microsecond=0)
        self.people.add(Follower(act.openid, is_following=follows, followed_at=int(at.timestamp())))
        self._number += 1
        push = EventLog(
            account=self.account,
            dedup_key=f"{self._number:032}",
            kind="event.subscribe" if follows else "event.unsubscribe",
            openid=act.openid,
            event_time=at,
            received_at=self.now,
            last_delivered_at=self.now,
            raw=b"",
            status=EventLog.Status.PROCESSED,
        )
        if act.push == "there":
            deliver([push])
        elif act.push == "late":
            self.late.append(push)

    def _between(self) -> None:
        self._moments += 1
        if self.pending:
            for act in self.pending.pop(0):
                self.do(act)
        if self._moments in self.kill_at:
            raise Killed

    def deliver_late(self) -> None:
        for push in reversed(self.late):
            deliver([push])
        self.late.clear()

    def sync(self) -> FollowerSync:
        """Runs a sync to its end, however often it is killed."""
        sync, _ = FollowerSync.objects.begin(self.account, origin="command", now=self.now)
        while True:
            FollowerSync.objects.filter(pk=sync.pk).update(leased_until=None)
            claims = FollowerSync.objects.filter(pk=sync.pk)
            for claimed in claims.claim(self.now, limit=1, lease=LEASE):
                try:
                    carry_on(claimed, client=self.client, now=lambda: self.now)
                except Killed:
                    continue
            sync.refresh_from_db()
            if not sync.is_open:
                return sync
            assert sync.failure == ""

    def settle(self) -> None:
        """Asks for whom could not be decided, as the worker does, when that second is over."""
        self.pending, self.kill_at = [], set()
        self.now += datetime.timedelta(seconds=2)
        for _ in range(5):
            fetch_batch(self.account, self.client, now=lambda: self.now)
            self.now += datetime.timedelta(seconds=1)

    def check(self) -> None:
        """Our followers are WeChat's, and what the log says."""
        following = set(
            Subscriber.objects.filter(is_following=True).values_list("openid", flat=True)
        )
        assert following == set(self.people.page("", 100))
        assert not Subscriber.objects.exclude(refresh_requested_at=None).exists()
        assert list(compare()) == []


class SyncTests(TestCase):
    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(
        before=acts(["there", "lost"], 12),
        meanwhile=st.lists(acts(["there", "late"], 3), max_size=16),
        kills=st.sets(st.integers(1, 24), max_size=2),
    )
    def test_whatever_happens_meanwhile_the_later_one_wins(self, before, meanwhile, kills):
        world = World()
        for act in before:
            world.do(act)
        world.now += datetime.timedelta(seconds=1)
        world.pending, world.kill_at = meanwhile, kills
        world.sync()
        world.deliver_late()
        world.settle()
        world.check()

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(
        before=acts(["there", "lost"], 12),
        meanwhile=st.lists(acts(["there", "late", "lost"], 3), max_size=16),
    )
    def test_what_is_lost_meanwhile_is_found_by_the_next(self, before, meanwhile):
        world = World()
        for act in before:
            world.do(act)
        world.pending = meanwhile
        world.sync()
        world.deliver_late()
        world.settle()
        world.sync()
        world.settle()
        world.check()

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(before=acts(["there", "lost"], 14), kills=st.sets(st.integers(1, 24), max_size=5))
    def test_the_report_is_right_however_often_it_is_killed(self, before, kills):
        world = World()
        for act in before:
            world.do(act)
        world.now += datetime.timedelta(seconds=1)
        there = set(world.people.page("", 100))
        ours = set(Subscriber.objects.filter(is_following=True).values_list("openid", flat=True))
        left = set(
            Subscriber.objects.filter(last_unfollowed_at__isnull=False).values_list(
                "openid", flat=True
            )
        )
        world.kill_at = kills
        sync = world.sync()
        assert sync.seen == len(there)
        assert sync.unchanged == len(there & ours)
        assert sync.missed_follows == len((there - ours) & left)
        assert sync.new == len(there - ours - left)
        assert sync.missed_unfollows == len(ours - there)
        world.settle()
        world.check()

"""The laws of the fold, in Python and in the database."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from psycopg._queries import _query2pg

from events.log.process import deliver
from events.models import EventLog
from events.testing import make_account
from subscribers.fold.rules import STATE_KINDS, State, combine, state_of
from subscribers.models import Subscriber
from subscribers.state.rebuild import compare, rebuild
from subscribers.tests.fold.total import total

START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)

# Few seconds and few scenes, so that ties and repetitions are the rule.
seconds = st.integers(0, 4).map(lambda number: START + datetime.timedelta(seconds=number))
events = st.builds(
    EventLog,
    kind=st.sampled_from(
        [*["event.subscribe", "event.unsubscribe", "event.scan"] * 4, *STATE_KINDS, "event.new"]
    ),
    openid=st.just("o1"),
    event_time=seconds,
    scene=st.sampled_from(["", "a", "b", "bind-" + "x" * 32]),
    dedup_key=st.integers(0, 6).map(lambda number: f"{number:032x}"),
    followed_at=st.none() | seconds,
)
states = st.lists(events, max_size=4).map(
    lambda chosen: total(state for state in map(state_of, chosen) if state)
)


@given(states, states, states)
def test_combining_is_associative_and_commutative_with_a_neutral_element(a, b, c):
    assert combine(a, b) == combine(b, a)
    assert combine(combine(a, b), c) == combine(a, combine(b, c))
    assert combine(a, State()) == a


@given(st.lists(events, max_size=6), st.randoms())
def test_the_order_of_events_does_not_matter(chosen, random):
    known = [state for state in map(state_of, chosen) if state]
    shuffled = random.sample(known, len(known))
    assert total(known) == total(shuffled)


def event(kind: str, at: int, **columns: str) -> EventLog:
    defaults = {"openid": "o1", "dedup_key": f"{at:032x}"}
    moment = START + datetime.timedelta(seconds=at)
    return EventLog(kind=kind, event_time=moment, **(defaults | columns))


@pytest.mark.parametrize(
    ("happened", "following"),
    [
        ([], False),
        ([("event.subscribe", 1)], True),
        ([("event.unsubscribe", 1)], False),
        ([("event.subscribe", 1), ("event.unsubscribe", 2)], False),
        ([("event.subscribe", 3), ("event.unsubscribe", 2)], True),
        # the order within one second cannot be known: unfollowed, until the platform is asked
        ([("event.subscribe", 2), ("event.unsubscribe", 2)], False),
        # an act only a follower can do proves a follow that was missed
        ([("text", 1)], True),
        ([("event.unsubscribe", 1), ("event.scan", 2)], True),
        ([("event.unsubscribe", 2), ("event.location", 2)], False),
        # cards and notices come from people who need not follow
        ([("event.user_get_card", 1)], False),
        ([("event.unsubscribe", 1), ("event.subscribe_msg_popup_event", 2)], False),
        # what WeChat answered is of the second we asked
        ([("import.follower", 1)], True),
        ([("event.unsubscribe", 1), ("reconcile.follow", 2)], True),
        ([("event.unsubscribe", 3), ("reconcile.follow", 2)], False),
        ([("event.subscribe", 1), ("reconcile.unfollow", 2)], False),
        ([("event.subscribe", 3), ("reconcile.unfollow", 2)], True),
        ([("text", 2), ("reconcile.unfollow", 2)], False),
    ],
)
def test_who_counts_as_following(happened, following):
    state = total(filter(None, (state_of(event(kind, at)) for kind, at in happened)))
    assert state.is_following is following


def test_a_follow_without_a_scene_leaves_the_scenes_alone():
    state = total(
        filter(
            None,
            [
                state_of(event("event.subscribe", 1, scene="first")),
                state_of(event("event.subscribe", 5)),
                state_of(event("event.scan", 3, scene="later")),
            ],
        )
    )
    assert (state.first_scene, state.last_scene) == ("first", "later")


def test_an_observation_counts_nothing_and_tells_of_an_earlier_follow():
    known = state_of(event("event.subscribe", 5))
    found = event("import.follower", 9, scene="poster")
    found.followed_at = START + datetime.timedelta(seconds=2)
    state = total(filter(None, [known, state_of(found), state_of(event("reconcile.unfollow", 7))]))
    assert state == State(
        first_followed_at=START + datetime.timedelta(seconds=2),
        last_followed_at=START + datetime.timedelta(seconds=5),
        last_unfollowed_at=START + datetime.timedelta(seconds=7),
        last_seen_at=START + datetime.timedelta(seconds=9),
        follow_count=1,
        event_count=1,
    )


def test_equal_seconds_are_decided_by_the_key():
    low = state_of(event("event.scan", 1, scene="low", dedup_key="0" * 32))
    high = state_of(event("event.scan", 1, scene="high", dedup_key="f" * 32))
    assert low is not None
    assert high is not None
    for order in ([low, high], [high, low]):
        assert (total(order).first_scene, total(order).last_scene) == ("low", "high")


def test_unknown_kinds_and_events_about_nobody_say_nothing():
    assert state_of(event("event.new", 1)) is None
    assert state_of(event("event.user_info_modified", 1)) is None
    assert state_of(event("text", 1, openid="")) is None


def store(account, chosen: EventLog) -> None:
    """Delivers a copy of the event, as a push that arrives now."""
    moment = datetime.datetime.now(datetime.UTC)
    followed = "" if chosen.followed_at is None else str(chosen.followed_at.second)
    deliver(
        [
            EventLog(
                account=account,
                kind=chosen.kind,
                openid=chosen.openid,
                event_time=chosen.event_time,
                scene=chosen.scene,
                followed_at=chosen.followed_at,
                # the key of a push follows from what it says
                dedup_key=f"{chosen.openid}{chosen.dedup_key[-4:]}{followed}"
                f"{chosen.kind[6:]}{chosen.scene}"[:32],
                received_at=moment,
                last_delivered_at=moment,
                raw=b"",
                status=EventLog.Status.PROCESSED,
            )
        ]
    )


class DatabaseFoldTests(TestCase):
    """The one SQL statement of live traffic against the Python fold, on the real database."""

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(chosen=st.lists(events, min_size=1, max_size=7), data=st.data())
    def test_any_order_and_any_repetition_give_the_same_row(self, chosen, data):
        account = make_account(mode="plaintext")
        arrivals = data.draw(st.permutations(chosen + data.draw(st.lists(st.sampled_from(chosen)))))
        for arrival in arrivals:
            store(account, arrival)
        expected = total(filter(None, map(state_of, EventLog.objects.all())))
        row = Subscriber.objects.filter(openid="o1").first()
        if row is None:
            assert expected == State()
        else:
            assert row.state == expected
            assert row.is_following is expected.is_following
        assert list(compare()) == []
        assert rebuild() == 0

    def test_every_order_of_a_busy_second(self):
        account = make_account(mode="plaintext")
        busy = [
            event("event.subscribe", 1, scene="a", dedup_key="1" * 32),
            event("event.unsubscribe", 1, dedup_key="2" * 32),
            event("event.scan", 1, scene="b", dedup_key="3" * 32),
            event("event.subscribe", 0, scene="c", dedup_key="4" * 32),
        ]
        rows = set()
        for number, order in enumerate(itertools.permutations(busy)):
            for chosen in order:
                chosen.openid = f"o{number}"
                store(account, chosen)
            row = Subscriber.objects.get(openid=f"o{number}")
            # the keys hold the OpenID, and are the one thing that differs
            state = dataclasses.replace(row.state, first_scene_key="", last_scene_key="")
            rows.add((state, row.is_following))
        assert len(rows) == 1

    def test_a_second_that_cannot_be_decided_asks_the_platform(self):
        account = make_account(mode="plaintext")
        store(account, event("event.subscribe", 1, dedup_key="1" * 32))
        assert Subscriber.objects.get().refresh_requested_at is None
        store(account, event("event.unsubscribe", 1, dedup_key="2" * 32))
        assert Subscriber.objects.get().refresh_requested_at is not None

    def test_a_later_proof_decides_without_the_platform(self):
        account = make_account(mode="plaintext")
        for number, (kind, at) in enumerate(
            [("text", 2), ("event.subscribe", 1), ("event.unsubscribe", 1)]
        ):
            store(account, event(kind, at, dedup_key=f"{number:032}"))
        subscriber = Subscriber.objects.get()
        assert (subscriber.is_following, subscriber.refresh_requested_at) == (True, None)


@pytest.mark.django_db
def test_psycopg_remembers_the_statement():
    """One that is too long is taken apart anew each time, for as long as storing an event takes."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite compiles any statement once")
    account = make_account()
    for _ in range(2):
        cached_count = _query2pg.cache_info().hits
        Subscriber.objects.fold({(account.pk, "o1"): State()})
    assert _query2pg.cache_info().hits > cached_count

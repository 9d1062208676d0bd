"""Followers, growth and QR codes are what one counts by hand, whatever happens to the log."""

from __future__ import annotations

import datetime
import io
import itertools
from collections import Counter
from unittest import mock

import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.stats.counting.rebuild import follow_time_zones
from events.stats.reading.queries import Span
from events.testing import make_account
from events.tests.stats.histories import ZONES, labels, steps
from subscribers.models import (
    FollowerMonth,
    FollowingChange,
    FollowingInterval,
    SceneAct,
    Subscriber,
)
from subscribers.stats.counting.recount import recount_followers
from subscribers.stats.reading.top import top_followers
from subscribers.tests.stats.by_hand import (
    FollowerHistory,
    check_scenes,
    check_sources,
    following_at,
)

_FIRST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_LAST = datetime.datetime(2028, 1, 1, tzinfo=datetime.UTC)
# Of the kinds in a history: what this site asked or does not know.
_NO_ACTS = {"import.follower", "reconcile.follow", "reconcile.unfollow", "event.new"}


def check_growth(history, rows):
    for period in "hd":
        changes = list(
            FollowingChange.objects.filter(account=history.account, period=period)
            .order_by("start")
            .values_list("start", "more")
        )
        cumulative = 0
        for place, (_, more) in enumerate(changes):
            end = changes[place + 1][0] if place + 1 < len(changes) else _LAST
            cumulative += more
            assert cumulative == following_at(end, rows)
        assert changes or not following_at(_LAST, rows)
        zone = history.account.zone
        begun = [labels(start, zone)[period] for start, _ in changes]
        assert len(set(begun)) == len(begun)


def check_top(history, spans):
    """The most active of any days, by the account's calendar."""
    acts = [
        (row.at.astimezone(history.account.zone).date(), row.openid)
        for row in history.rows
        if row.is_event and row.openid and row.kind not in _NO_ACTS
    ]
    for (first, last), limit in itertools.product(spans, (1, 3, 20)):
        counted = Counter(openid for day, openid in acts if first <= day <= last)
        best = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:limit]
        span = Span(history.account, first, last)
        found = top_followers(span, history.account.pk, limit=limit)
        assert [(row.openid, row.events) for row in found] == best
    ever = {row.openid: row.events for row in top_followers(None, history.account.pk, limit=20)}
    assert {openid: events for openid, events in ever.items() if events} == Counter(
        openid for _day, openid in acts
    )


def spans_of(*days):
    """All the time of the histories, a whole month, and from one day to another."""
    return [
        (datetime.date(2026, 1, 1), datetime.date(2026, 12, 31)),
        (datetime.date(2026, 10, 1), datetime.date(2026, 10, 31)),
        (min(days), max(days)),
    ]


MARKS = st.lists(
    st.tuples(
        st.sampled_from(["o1", "o2", "o3"]),
        st.sampled_from(["bind", "bind", "unbind", "ADD_SCENE_SEARCH", "ADD_SCENE_OTHERS"]),
    ),
    max_size=5,
)
DAYS = st.dates(datetime.date(2026, 3, 1), datetime.date(2026, 11, 5))


class Followers(TestCase):
    @pytest.mark.slow
    @settings(max_examples=15, deadline=None)
    @given(steps, MARKS, steps, st.sampled_from(ZONES), DAYS, DAYS, st.sampled_from([1, 2, 100]))
    def test_growth_is_what_one_counts_by_hand(
        self, played, marks, then, zone, day, other_day, looked_at
    ):
        history = FollowerHistory(make_account(time_zone=zone), follow_time_zones)
        history.play([*played, *(("mark", each) for each in marks), *then])
        check_growth(history, history.rows)
        spans = spans_of(day, other_day)
        check_scenes(history, spans)
        check_sources(history, spans)
        with mock.patch("subscribers.stats.reading.top._FIRST", looked_at):
            check_top(history, spans)
        opened = FollowingInterval.objects.filter(ended_at=None)
        assert opened.count() == Subscriber.objects.filter(is_following=True).count()
        acts = {
            (row.pk, row.at, row.key, row.openid, row.kind == "event.subscribe")
            for row in history.rows
            if row.kind in {"event.subscribe", "event.scan"}
            and row.is_event
            and row.key
            and row.openid
        }
        names = ("event_id", "at", "scene", "openid", "is_follow")
        assert set(SceneAct.objects.values_list(*names)) == acts
        assert list(recount_followers(history.account.pk, _FIRST, _LAST)) == []

    @pytest.mark.slow
    @settings(max_examples=15, deadline=None)
    @given(steps, steps, st.sampled_from(ZONES), DAYS, DAYS)
    def test_growth_goes_on_where_retention_removed_what_was_before(
        self, before, after, zone, day, other_day
    ):
        history = FollowerHistory(make_account(time_zone=zone), follow_time_zones)
        history.play(before)
        history.remove_before(_LAST)
        check_top(history, spans_of(day, other_day))
        later = [
            (step, [each | {"at": each["at"] + datetime.timedelta(days=365)} for each in argument])
            for step, argument in after
            if step == "arrive"
        ]
        history.play(later)
        check_growth(history, history.rows)
        assert list(recount_followers(history.account.pk, _FIRST, _LAST)) == []

    def test_the_command_puts_right_what_was_tampered_with_and_says_what(self):
        history = FollowerHistory(make_account(), follow_time_zones)
        for kind, hours in (("event.subscribe", 1), ("event.unsubscribe", 30)):
            history._store(
                kind=kind, openid="o1", name="", at=_FIRST + datetime.timedelta(hours=hours),
                status="processed", has_reply=False, waited=0, followed_before=None,
            )  # fmt: skip

        def recompute():
            told = io.StringIO()
            call_command("recompute_statistics", "--from", "2020-01-01", "--to", "2020-01-31",
                         stdout=told)  # fmt: skip
            return told.getvalue()

        assert recompute() == "0 numbers changed.\n"
        FollowingInterval.objects.update(ended_at=None)
        FollowingChange.objects.filter(period="d").update(more=5)
        FollowerMonth.objects.update(events=7)
        told = recompute()
        assert "shop: growth by day from 2019-12-31T16:00:00+00:00: was 5, the log says 1" in told
        assert "events of one person by month from 2019-12-31T16:00:00+00:00: was 7" in told
        assert recompute() == "0 numbers changed.\n"
        check_growth(history, history.rows)

"""Followers, growth and QR codes are what one counts by hand, whatever happens to the log."""

from __future__ import annotations

import datetime
import io
from collections import Counter

from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.kinds import Effect, kinds_where
from events.log.registry import announce_erasure
from events.models import EventLog
from events.stats.overview import Days
from events.stats.rebuild import follow_time_zones
from events.stats.series import FOLLOW
from events.testing import make_account
from events.tests.stats.histories import ZONES, History, labels, steps
from subscribers.models import FollowingChange, FollowingInterval, SceneAct, Subscriber
from subscribers.stats.recount import recount_followers
from subscribers.stats.sources import sources

_FIRST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_LAST = datetime.datetime(2028, 1, 1, tzinfo=datetime.UTC)


def kinds_of(effect):
    return kinds_where(lambda kind: kind.effect is effect)


class FollowerHistory(History):
    def rename(self, openid, pseudonym):
        for model in (EventLog, Subscriber):
            model.objects.filter(openid=openid).update(openid=pseudonym)
        announce_erasure(self.account.pk, openid, pseudonym)


def statements(rows):
    """Of each person, when proofs of following and unfollows were, by the log."""
    said = {}
    for row in rows:
        if not (row.is_folded and row.openid):
            continue
        proofs, unfollows = said.setdefault(row.openid, ([], []))
        if row.kind in [*kinds_of(Effect.FOLLOW), *kinds_of(Effect.SEEN)]:
            proofs.append(row.at)
        elif row.kind in kinds_of(Effect.FOUND_FOLLOWING):
            proofs += [row.at, row.followed_at or row.at]
        elif row.kind in [*kinds_of(Effect.UNFOLLOW), *kinds_of(Effect.FOUND_GONE)]:
            unfollows.append(row.at)
    return said


def following_at(moment, rows):
    """How many people followed just before a moment."""
    number = 0
    for proofs, unfollows in statements(rows).values():
        last_unfollow = max([at for at in unfollows if at < moment], default=None)
        number += any(
            at < moment and (last_unfollow is None or at > last_unfollow) for at in proofs
        )
    return number


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


def check_sources(history):
    """Every follow of the log has one source; those through a code have the code's."""
    days = Days([history.account], datetime.date(2026, 1, 1), datetime.date(2026, 12, 31))
    found = sources(days)
    follows = [row for row in history.rows if row.is_event and row.kind == FOLLOW]
    assert sum(source.came for source in found) == len(follows)
    by_code = Counter(row.key for row in follows if row.key and row.openid)
    assert {source.scene: source.came for source in found if source.scene} == by_code
    for source in found:
        assert max(source.still_following, *source.retained.values()) <= source.came
        assert all(source.retained[number] <= due for number, due in source.due.items())


class Followers(TestCase):
    @settings(max_examples=15, deadline=None)
    @given(steps, st.sampled_from(ZONES))
    def test_growth_is_what_one_counts_by_hand(self, played, zone):
        history = FollowerHistory(make_account(time_zone=zone), follow_time_zones)
        history.play(played)
        check_growth(history, history.rows)
        check_sources(history)
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

    @settings(max_examples=15, deadline=None)
    @given(steps, steps, st.sampled_from(ZONES))
    def test_growth_goes_on_where_retention_removed_what_was_before(self, before, after, zone):
        history = FollowerHistory(make_account(time_zone=zone), follow_time_zones)
        history.play(before)
        history.remove_before(_LAST)
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
        told = recompute()
        assert "shop: growth by day from 2019-12-31T16:00:00+00:00: was 5, the log says 1" in told
        assert recompute() == "0 numbers changed.\n"
        check_growth(history, history.rows)

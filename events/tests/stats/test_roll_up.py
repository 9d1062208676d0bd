"""The roll-ups are what one counts by hand, whatever happens to the log."""

from __future__ import annotations

import datetime
from unittest import mock

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.models import (
    EventLog,
    HealthCount,
    LastSeen,
    OpenEvent,
    PeriodCount,
    Series,
    StatisticsProgress,
    UnansweredEvent,
    UnmatchedDay,
)
from events.stats.counting.health import count_repeats
from events.stats.counting.rebuild import follow_time_zones, rebuild
from events.stats.counting.removal import forget_unseen
from events.stats.counting.roll_up import roll_up
from events.stats.days import Days
from events.stats.facts import MEASURES
from events.stats.reading.overview import entry_totals, hours_of_week, kind_totals
from events.stats.reading.unmatched_texts import unmatched_texts
from events.stats.series import MENU_KINDS
from events.testing import make_account
from events.tests.stats.histories import ZONES, History, count_by_hand, labels, steps

_FIRST = datetime.datetime(2026, 2, 1, tzinfo=datetime.UTC)
_LAST = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


def stored_counts(history):
    zone = history.account.zone
    names = ("series__kind", "series__key", "period", "start", *MEASURES)
    rows = PeriodCount.objects.filter(series__account=history.account).exclude(events=0)
    counts = {}
    for kind, key, period, start, *values in rows.values_list(*names):
        where = (kind, key, period, labels(start, zone)[period])
        assert where not in counts
        counts[where] = tuple(values)
    return counts


def health_by_hand(history):
    zone = history.account.zone
    counts = {}
    for row in history.rows:
        if row.source != "callback":
            continue
        values = counts.setdefault(labels(row.received_at, zone)["h"], [0] * 7)
        values[0] += 1
        if row.outcome == "answered":
            values[1] += 1
            values[2] += row.waited_ms <= 1000
            values[3] += row.waited_ms <= 5000
        values[4] += row.outcome == "unanswered"
        values[5] += row.status == "dead"
        values[6] += row.status == "set_aside"
    return counts


def stored_health(history):
    zone = history.account.zone
    columns = ("received", "answered", "within_1s", "within_5s", "unanswered", "failed")
    rows = HealthCount.objects.filter(account=history.account).exclude(received=0)
    return {
        labels(start, zone)["h"]: values
        for start, *values in rows.values_list("start", *columns, "quarantined")
    }


def unanswered_by_hand(history):
    return {(row.pk, row.openid) for row in history.rows if row.outcome == "unanswered"}


def stored_unanswered():
    return set(UnansweredEvent.objects.values_list("event_id", "openid"))


def check_texts(history):
    """The texts without an answer, by day and together."""
    by_day, last = {}, {}
    for row in history.rows:
        if row.text and row.outcome == "unanswered":
            day = row.at.astimezone(history.account.zone).date()
            by_day.setdefault((row.text, day), []).append(row.openid)
            last[row.text] = max(row.at, last.get(row.text, row.at))
    days = Days([history.account], datetime.date(2026, 1, 1), datetime.date(2026, 12, 31))
    assert {
        row.text: (row.messages, row.people, row.last_at) for row in unmatched_texts(days, limit=9)
    } == {
        text: (
            sum(len(people) for (of, _), people in by_day.items() if of == text),
            sum(len(set(people)) for (of, _), people in by_day.items() if of == text),
            last[text],
        )
        for text, _ in by_day
    }
    for text, day in by_day:
        (row,) = [
            row
            for row in unmatched_texts(Days([history.account], day, day), limit=9)
            if row.text == text
        ]
        people = by_day[text, day]
        assert (row.messages, row.people) == (len(people), len(set(people)))


def check_overview(history):
    """What pages ask of several accounts together is what one counts by hand, too."""
    days = Days([history.account], datetime.date(2026, 1, 1), datetime.date(2026, 12, 31))
    by_day = {}
    for (kind, key, period, _label), values in count_by_hand(history).items():
        if period == "d":
            sums = by_day.setdefault((kind, key), [0] * len(values))
            by_day[kind, key] = [old + new for old, new in zip(sums, values, strict=True)]
    assert {
        kind: [now.events, now.people, now.answered, now.unanswered, now.waited_ms]
        for kind, (now, _before) in kind_totals(days).items()
    } == {kind: values for (kind, key), values in by_day.items() if not key}
    assert {
        (row.kind, row.key): [row.taps, row.people, row.unanswered] for row in entry_totals(days)
    } == {
        (kind, key): [values[0], values[1], values[3]]
        for (kind, key), values in by_day.items()
        if key and kind in MENU_KINDS
    }
    by_hour = [[0] * 24 for _ in range(7)]
    for row in history.rows:
        if row.is_event and not row.kind.startswith(("import.", "reconcile.")):
            local = row.at.astimezone(history.account.zone)
            by_hour[local.weekday()][local.hour] += 1
    assert hours_of_week(days) == by_hour


class RollUps(TestCase):
    @pytest.mark.slow
    @settings(max_examples=15, deadline=None)
    @given(steps, st.sampled_from(ZONES))
    def test_every_count_is_what_one_counts_by_hand(self, played, zone):
        history = History(make_account(time_zone=zone), follow_time_zones)
        history.play(played)
        assert stored_counts(history) == count_by_hand(history)
        assert stored_health(history) == health_by_hand(history)
        assert stored_unanswered() == unanswered_by_hand(history)
        check_overview(history)
        check_texts(history)
        # Counting anew finds nothing else than that repetitions came, of which the worker counts
        # those of the last hours.
        differences = rebuild(history.account.pk, _FIRST, _LAST)
        assert {difference.what for difference in differences} <= {"repeated of pushes by hour"}
        repeated = sum(HealthCount.objects.values_list("repeated", flat=True))
        by_hand = [row.deliveries - 1 for row in history.rows if row.source == "callback"]
        assert repeated == sum(by_hand)
        assert rebuild(history.account.pk, _FIRST, _LAST) == []
        check_texts(history)

    @pytest.mark.slow
    @settings(max_examples=10, deadline=None)
    @given(steps, steps, st.sampled_from(ZONES))
    def test_what_retention_removes_stays_counted(self, before, after, zone):
        history = History(make_account(time_zone=zone), follow_time_zones)
        history.play(step for step in before if step[0] != "answer")
        removed_before = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
        kept = [row for row in history.rows if row.status in {"received", "set_aside"}]
        history.remove_before(removed_before)
        assert stored_unanswered() == set()
        assert not UnmatchedDay.objects.exists()
        for row in kept:
            # They stay in the log; what becomes of them is no longer counted.
            history.rows.remove(row)
        known = count_by_hand(history)
        expected = stored_counts(history)
        assert known.keys() <= expected.keys()
        # What comes later is of the time after.
        later = [
            (
                step,
                [
                    arrival | {"at": arrival["at"] + datetime.timedelta(days=365)}
                    for arrival in argument
                ],
            )
            for step, argument in after
            if step == "arrive"
        ]
        history.rows.clear()
        history.play(later)
        assert stored_counts(history) == expected | count_by_hand(history)
        differences = rebuild(history.account.pk, _FIRST, _LAST)
        assert {difference.what for difference in differences} <= {"repeated of pushes by hour"}
        assert rebuild(history.account.pk, _FIRST, _LAST) == []

    def test_a_batch_that_somebody_else_has_counted_is_not_counted_again(self):
        history = History(make_account(), follow_time_zones)
        history._store(
            kind="text", openid="o1", name="", at=_FIRST, status="processed", has_reply=True,
            waited=0, followed_before=None,
        )  # fmt: skip
        assert roll_up() == 1
        assert roll_up() == 0
        assert StatisticsProgress.objects.get().last_id == EventLog.objects.get().pk
        assert set(PeriodCount.objects.values_list("events", "people")) == {(1, 1)}
        assert Series.objects.count() == 2
        assert LastSeen.objects.count() == 2

    def test_repetitions_are_kept_whole_in_a_zone_of_half_hours(self):
        account = make_account(time_zone="Asia/Kolkata")
        at = datetime.datetime(2026, 11, 23, 9, 45, tzinfo=datetime.UTC)
        for minutes in (0, 20):
            received_at = at + datetime.timedelta(minutes=minutes)
            EventLog.objects.create(
                account=account, kind="text", event_time=received_at, dedup_key=f"{minutes}",
                raw=b"", received_at=received_at, last_delivered_at=received_at, delivery_count=2,
                status="processed", folded_at=received_at,
            )  # fmt: skip
        last = EventLog.objects.latest("pk").pk
        zones = {account.pk: account.zone}
        for hour in (9, 10):
            count_repeats(at.replace(hour=hour, minute=0), last, zones)
        assert list(HealthCount.objects.values_list("repeated", flat=True)) == [2]

    def test_who_was_not_seen_for_months_is_forgotten_and_still_counts_once(self):
        history = History(make_account(), follow_time_zones)
        arrival = {
            "kind": "text", "openid": "o1", "name": "", "status": "processed", "has_reply": True,
            "waited": 0, "followed_before": None,
        }  # fmt: skip
        history._store(at=_FIRST, **arrival)
        history.tick()
        assert forget_unseen(_FIRST + datetime.timedelta(days=61)) == 0
        assert forget_unseen(_FIRST + datetime.timedelta(days=63)) == 2
        history._store(at=_FIRST + datetime.timedelta(days=2), **arrival)
        history.tick()
        assert stored_counts(history) == count_by_hand(history)

    def test_counts_that_were_tampered_with_are_named_and_put_right(self):
        history = History(make_account(), follow_time_zones)
        history._store(
            kind="event.click", openid="o1", name="orders", at=timezone.now(), status="processed",
            has_reply=False, waited=0, followed_before=None,
        )  # fmt: skip
        roll_up()
        PeriodCount.objects.filter(period="d", series__key="orders").update(events=7, unanswered=0)
        now = timezone.now()
        named = [str(difference) for difference in rebuild(history.account.pk, now, now)]
        assert len(named) == 2
        assert "events of event.click 'orders' by day" in named[0]
        assert named[0].endswith("was 7, the log says 1")
        assert stored_counts(history) == count_by_hand(history)

    def _answered_late(self, status):
        """An event whose answer went out three seconds after it came, and ten seconds ago."""
        answered_at = timezone.now() - datetime.timedelta(seconds=10)
        received_at = answered_at - datetime.timedelta(seconds=3)
        EventLog.objects.create(
            account=make_account(), kind="text", openid="o1", dedup_key="1", raw=b"",
            event_time=_FIRST, received_at=received_at, last_delivered_at=received_at,
            folded_at=received_at, answered_by="reply", answered_at=answered_at, status=status,
        )  # fmt: skip

    def _counted(self):
        OpenEvent.objects.update(look_again_at=timezone.now())
        roll_up()
        return set(PeriodCount.objects.values_list("events", "answered", "waited_ms"))

    def test_a_reply_is_counted_once_when_it_cannot_be_taken_back_any_more(self):
        self._answered_late("processed")
        assert self._counted() == {(1, 0, 0)}
        with mock.patch("events.stats.facts._TAKEN_BACK_WITHIN", datetime.timedelta()):
            assert self._counted() == {(1, 1, 3000)}
            assert self._counted() == {(1, 1, 3000)}
        assert not OpenEvent.objects.exists()

    def test_a_wait_counts_once_while_the_event_may_still_change(self):
        with mock.patch("events.stats.facts._TAKEN_BACK_WITHIN", datetime.timedelta()):
            self._answered_late("dead")
            for status in ("dead", "dead", "processed"):
                EventLog.objects.update(status=status)
                assert self._counted() == {(1, 1, 3000)}
                assert rebuild(EventLog.objects.get().account_id, _FIRST, _FIRST) == []

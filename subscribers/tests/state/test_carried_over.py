"""State is what is carried over combined with the log, whatever was removed, and when."""

from __future__ import annotations

import datetime
import threading
import time

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.log.process import deliver, process
from events.log.retention_hooks import announce_removal
from events.models import EventLog, PrunedMonth
from events.months import Month
from events.retention.archive import ensure_archived, restore
from events.retention.partitions import make_partition, partitions
from events.retention.prune import Postponed, remove_month
from events.testing import make_account, message_xml
from subscribers.fold.rules import STATE_KINDS, state_of
from subscribers.models import CarriedOverState, Subscriber
from subscribers.state.rebuild import compare, rebuild
from subscribers.tests.fold.total import total
from subscribers.tests.state.racer import post_all

MONTHS = [Month(2024, 11), Month(2024, 12), Month(2025, 1)]

happenings = st.tuples(
    st.sampled_from(
        [
            *("event.subscribe", "event.unsubscribe", "event.scan", "text", "event.new"),
            *("import.follower", "reconcile.follow", "reconcile.unfollow"),
        ]
    ),
    st.sampled_from(["o1", "o2", ""]),
    st.sampled_from(MONTHS),
    st.integers(0, 3),
    st.sampled_from(["", "a", "b", "bind-" + "x" * 32, "bind-" + "x" * 32 + "y"]),
)


def store(account, kind, openid, month, second, scene, *, status="processed") -> EventLog:
    moment = datetime.datetime.now(datetime.UTC)
    event = EventLog(
        account=account,
        kind=kind,
        openid=openid,
        event_time=month.start + datetime.timedelta(seconds=second),
        # That of acts is of no account, so it may be there.
        followed_at=month.start - datetime.timedelta(seconds=second) if second else None,
        scene=scene,
        dedup_key=f"{second}{openid}{scene[-6:]}{kind}"[:32],
        received_at=moment,
        last_delivered_at=moment,
        raw=b"<xml/>",
        status=status,
    )
    deliver([event])
    return event


def state_of_all() -> dict[str, object]:
    return {row.openid: row.state for row in Subscriber.objects.all()}


def removable() -> None:
    """PostgreSQL alters no table while checks of this transaction's rows are outstanding."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def wait_for_partition(month: Month) -> None:
    """A vacuum may hold the lock for a moment, and longer on a busy machine."""
    deadline = time.monotonic() + 120
    while not make_partition(month):
        assert time.monotonic() < deadline


class BaseLaws(TestCase):
    @pytest.mark.slow
    @settings(max_examples=40, deadline=None)
    @given(
        steps=st.lists(happenings | st.sampled_from(MONTHS), min_size=1, max_size=14),
        with_partitions=st.booleans(),
    )
    def test_whatever_is_removed_in_whatever_order(self, steps, with_partitions):
        account = make_account(mode="plaintext")
        if with_partitions and connection.vendor == "postgresql":
            for month in MONTHS:
                wait_for_partition(month)
        ever: dict[tuple, EventLog] = {}
        for step in steps:
            if isinstance(step, Month):
                before = state_of_all()
                removable()
                remove_month(step)
                assert not EventLog.objects.in_month(step).exists()
                assert state_of_all() == before
            # A push of a removed month would be quarantined; the key of the others is unique.
            elif step not in ever:
                ever[step] = store(account, *step)
            assert list(compare()) == []
        for openid in ("o1", "o2"):
            said = (state_of(event) for event in ever.values() if event.openid == openid)
            row = Subscriber.objects.filter(openid=openid).first()
            assert (row.state if row else total([])) == total(filter(None, said))
        assert rebuild() == 0

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(batches=st.lists(st.lists(happenings, max_size=5), max_size=3))
    def test_the_set_statement_is_the_fold_in_python(self, batches):
        account = make_account(mode="plaintext")
        stored: dict[tuple, EventLog] = {}
        for batch in batches:
            new = {step: store(account, *step) for step in batch if step not in stored}
            stored |= new
            announce_removal(EventLog.objects.filter(pk__in=[event.pk for event in new.values()]))
        for row in CarriedOverState.objects.all():
            said = (state_of(event) for event in stored.values() if event.openid == row.openid)
            assert row.state == total(filter(None, said))
        known = {event.openid for event in stored.values() if state_of(event)}
        assert set(CarriedOverState.objects.values_list("openid", flat=True)) == known


@pytest.fixture
def account(db):
    return make_account(mode="plaintext")


def test_the_effect_of_every_kind_is_carried_over(account):
    for number, kind in enumerate(STATE_KINDS):
        store(account, kind, f"o{number}", MONTHS[0], number % 60, "")
    before = state_of_all()
    remove_month(MONTHS[0])
    assert {row.openid: row.state for row in CarriedOverState.objects.all()} == before


def test_a_follower_without_a_row_is_found_by_what_is_carried_over(account):
    store(account, "event.subscribe", "o1", MONTHS[0], 1, "poster")
    before = state_of_all()
    remove_month(MONTHS[0])
    Subscriber.objects.all().delete()
    assert [difference.column for difference in compare()] == ["row"]
    rebuild()
    assert state_of_all() == before


def test_a_wrong_carried_over_state_is_found(account):
    store(account, "event.subscribe", "o1", MONTHS[0], 1, "poster")
    remove_month(MONTHS[0])
    CarriedOverState.objects.update(follow_count=2)
    assert [difference.column for difference in compare()] == ["follow_count"]


def test_nothing_of_unfolded_rows_is_carried_over(account):
    event = store(account, "event.subscribe", "o1", MONTHS[0], 1, "poster")
    EventLog.objects.filter(pk=event.pk).update(folded_at=None, status="dead")
    remove_month(MONTHS[0])
    assert not CarriedOverState.objects.exists()


def test_what_comes_back_counts_once(account, tmp_path, settings):
    settings.EVENT_ARCHIVE_DIR = tmp_path
    store(account, "event.subscribe", "o1", MONTHS[0], 1, "poster")
    dead = store(account, "text", "o1", MONTHS[0], 2, "")
    EventLog.objects.filter(pk=dead.pk).update(folded_at=None, status="dead")
    rebuild()
    before = state_of_all()
    assert remove_month(MONTHS[0]) == 2
    assert restore(MONTHS[0], tmp_path) == 2
    assert list(compare()) == []
    assert state_of_all() == before
    # What was not folded may still be, and then counts.
    assert dict(EventLog.objects.values_list("kind", "is_carried_over")) == {
        "event.subscribe": True,
        "text": False,
    }
    # Removed once more, it is not counted once more.
    assert remove_month(MONTHS[0]) == 2
    assert list(compare()) == []
    assert restore(MONTHS[0], tmp_path) == 2
    assert list(compare()) == []


def test_late_rows_of_a_removed_month_are_its_next_part(account, tmp_path, settings):
    settings.EVENT_ARCHIVE_DIR = tmp_path
    for second in range(2):
        store(account, "event.subscribe", "o1", MONTHS[0], second, "")
        assert remove_month(MONTHS[0]) == 1
        assert list(compare()) == []
    assert PrunedMonth.objects.get().part == 2
    assert restore(MONTHS[0], tmp_path) == 2
    assert EventLog.objects.filter(is_carried_over=True).count() == 2
    assert list(compare()) == []


def test_rows_of_a_month_never_removed_are_folded_when_they_come(account, tmp_path):
    store(account, "event.subscribe", "o1", MONTHS[0], 1, "poster")
    before = state_of_all()
    ensure_archived(MONTHS[0], tmp_path)
    EventLog.objects.all().delete()
    Subscriber.objects.all().delete()
    assert restore(MONTHS[0], tmp_path) == 1
    assert state_of_all() == before
    assert list(compare()) == []


# --- Real processes and threads ------------------------------------------------------------------


def prune_until(stop: threading.Event, month: Month, outcome: list[object]) -> None:
    try:
        while not stop.is_set():
            try:
                outcome.append(remove_month(month))
            except Postponed as reason:
                outcome.append(str(reason))
    except Exception as error:
        outcome.append(error)
    finally:
        connection.close()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_invariant_holds_while_others_fold_into_the_same_followers(racers):
    """Old rows of 40 followers leave while four processes push events of the same 40.

    Some pushes are dated in the month that leaves, so its partition changes under the removal.
    """
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    account = make_account(mode="plaintext")
    old = Month.of(datetime.datetime.now(datetime.UTC)).plus(-1)
    assert old in partitions() or make_partition(old)
    for number in range(2000):
        store(account, "event.scan", f"o{number % 40}", old, number, f"s{number % 7}")
    now = int(time.time())
    shares = [
        [
            message_xml(
                "event.SCAN" if number % 3 else "event.subscribe",
                openid=f"o{number % 40}",
                # every tenth into the month that is being removed
                at=now - number if number % 10 else int(old.start.timestamp()) + 10**5 + number,
                EventKey=f"w{worker}",
                Ticket=f"{worker}-{number}",
            )
            for number in range(250)
        ]
        for worker in range(4)
    ]
    stop, outcome, checks = threading.Event(), [], []
    database = str(connection.settings_dict["NAME"])
    racing = racers.begin(post_all, [(database, share) for share in shares], with_caller=True)
    pruning = threading.Thread(target=prune_until, args=(stop, old, outcome))
    pruning.start()
    while not all(result.ready() for result in racing):
        checks.append(list(compare()))
        rebuild()
        # It locks all forty: the callbacks want a turn too.
        time.sleep(0.3)
    codes = [code for result in racing for code in result.get()]
    stop.set()
    pruning.join()
    assert set(codes) == {200}
    assert [one for one in outcome if isinstance(one, Exception)] == []
    assert all(found == [] for found in checks)
    assert len(checks) >= 2
    # An event that waited too long for a follower's row was left to the worker.
    for event in EventLog.objects.awaiting_outcome().only_key():
        process(event)
    remove_month(old)
    assert list(compare()) == []
    assert rebuild() == 0
    removed = PrunedMonth.objects.get().rows
    assert removed == 2000 + 4 * 25
    assert sum(Subscriber.objects.values_list("event_count", flat=True)) == 2000 + 4 * 250
    call_command("rebuild_subscribers", "--check")

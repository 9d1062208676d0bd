"""What leaves the log, when, and what stays."""

from __future__ import annotations

import datetime
import io
import threading
import time

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from events.log import retention_hooks
from events.log.process import deliver, process
from events.models import EventLog, OfficialAccount, PrunedMonth
from events.models.event_log import EventLogQuerySet
from events.months import Month
from events.retention import prune as module
from events.retention.archive import ensure_archived
from events.retention.partitions import DEFAULT_PARTITION, make_partition, partitions
from events.retention.prune import Postponed, months_due, prune, remove_month, retention_limit
from events.testing import make_account, message_xml, push

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
OLD, OLDER = Month(2025, 3), Month(2025, 2)


@pytest.fixture
def account():
    return make_account(mode="plaintext")


@pytest.fixture(params=["rows", "partitions"])
def months(request):
    """OLD and OLDER without partitions of their own, and with them."""
    if request.param == "partitions":
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no partitions")
        for month in (OLD, OLDER):
            assert make_partition(month)
    yield request.param
    for month in (OLD, OLDER):
        if month in partitions():
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {partitions()[month]}")


@pytest.fixture
def announced(monkeypatch):
    """The ids in the order in which they were said to go."""
    ids: list[int] = []

    def listen(events: EventLogQuerySet) -> None:
        ids.extend(events.order_by("pk").values_list("pk", flat=True))

    monkeypatch.setattr(
        retention_hooks, "_before_removal", [*retention_hooks._before_removal, listen]
    )
    return ids


def store(account, moment, *, key=None, **columns) -> EventLog:
    values = {
        "kind": "text",
        "openid": "o1",
        "status": "processed",
        "received_at": moment,
        "raw": b"<xml/>",
        "folded_at": NOW,
    } | columns
    if values["status"] in {"unreadable", "set_aside"}:
        values["folded_at"] = None
    return EventLog.objects.create(
        account=account,
        dedup_key=(key or str(moment))[:32],
        event_time=moment,
        last_delivered_at=values["received_at"],
        **values,
    )


def test_whole_months_before_the_horizon_are_past_retention(settings):
    settings.EVENT_RETENTION_DAYS = None
    assert retention_limit(NOW) is None
    settings.EVENT_RETENTION_DAYS = 30
    assert retention_limit(NOW) == Month(2026, 10).start
    settings.EVENT_RETENTION_DAYS = 23
    assert retention_limit(NOW) == Month(2026, 10).start
    settings.EVENT_RETENTION_DAYS = 22
    assert retention_limit(NOW) == Month(2026, 11).start


def test_without_retention_nothing_goes(account, settings):
    settings.EVENT_RETENTION_DAYS = None
    store(account, OLD.start)
    assert prune(NOW) == 0
    assert EventLog.objects.count() == 1


def test_what_is_past_retention_goes_and_the_rest_stays(account, months, settings, announced):
    settings.EVENT_RETENTION_DAYS = 365
    limit = retention_limit(NOW)
    gone = [
        store(account, moment)
        for moment in (
            OLDER.start,
            OLD.start,
            OLD.end - datetime.timedelta(microseconds=1),
            limit - datetime.timedelta(microseconds=1),
            Month(1999, 1).start,
        )
    ]
    other = make_account("two", mode="plaintext")
    gone.append(store(other, OLD.start))
    stay = [store(account, limit), store(account, NOW)]
    assert prune(NOW) == len(gone)
    assert set(EventLog.objects.values_list("pk", flat=True)) == {event.pk for event in stay}
    assert sorted(announced) == sorted(event.pk for event in gone)
    assert not {OLD, OLDER} & set(partitions())
    assert prune(NOW) == 0
    pruned = PrunedMonth.objects.get(month=OLD.start)
    assert (pruned.part, pruned.rows, pruned.is_under_way) == (1, 3, False)


def test_more_rows_than_one_batch(account, settings, monkeypatch, announced):
    monkeypatch.setattr(module, "_BATCH", 3)
    # Several at one moment, so that a page ends in the middle of them.
    events = [
        store(account, OLD.start + datetime.timedelta(seconds=number // 5), key=str(number))
        for number in range(17)
    ]
    assert remove_month(OLD) == 17
    assert announced == [event.pk for event in events]


@pytest.mark.parametrize("status", ["received", "failed"])
def test_a_row_awaiting_its_outcome_keeps_its_month(account, months, settings, status, caplog):
    settings.EVENT_RETENTION_DAYS = 365
    waiting = store(account, OLD.start, status=status, folded_at=None)
    store(account, OLD.start + datetime.timedelta(days=1))
    other = store(account, OLDER.start)
    assert prune(NOW) == 1
    assert not EventLog.objects.filter(pk=other.pk).exists()
    assert EventLog.objects.in_month(OLD).count() == 2
    assert "2025-03 stays in the log for now: 1 of its rows still await" in caplog.text
    process(waiting)
    assert prune(NOW) == 2


def test_a_retention_hook_that_fails_keeps_the_rows(account, months, monkeypatch):
    store(account, OLD.start)

    def refuse(events: EventLogQuerySet) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(
        retention_hooks, "_before_removal", [*retention_hooks._before_removal, refuse]
    )
    with pytest.raises(RuntimeError, match="no room"):
        remove_month(OLD)
    assert EventLog.objects.count() == 1
    monkeypatch.undo()
    assert remove_month(OLD) == 1


def test_rows_without_a_date_to_rely_on_go_by_when_they_came(account, settings):
    settings.EVENT_RETENTION_DAYS = 365
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    far = datetime.datetime(2099, 5, 5, tzinfo=datetime.UTC)
    long_ago = NOW - datetime.timedelta(days=800)
    gone = [
        store(account, epoch, key="1", status="unreadable", received_at=long_ago),
        store(account, far, key="2", status="set_aside", received_at=long_ago),
        store(account, epoch, key="5"),
    ]
    stay = [
        store(account, epoch, key="3", status="unreadable", received_at=NOW),
        store(account, far, key="4", status="set_aside", received_at=NOW),
    ]
    assert prune(NOW) == len(gone)
    assert set(EventLog.objects.values_list("pk", flat=True)) == {event.pk for event in stay}
    assert months_due(retention_limit(NOW), now=NOW) == []


def test_the_command_says_what_went(account, settings):
    output = io.StringIO()
    call_command("prune_events", stdout=output)
    assert "everything is kept" in output.getvalue()
    settings.EVENT_RETENTION_DAYS = 365
    store(account, OLD.start)
    call_command("prune_events", stdout=output)
    assert "2025-03: 1 rows removed" in output.getvalue()
    assert EventLog.objects.count() == 0


# --- With archives -------------------------------------------------------------------------------


def test_what_goes_is_archived_first(account, months, settings, tmp_path):
    settings.EVENT_RETENTION_DAYS, settings.EVENT_ARCHIVE_DIR = 365, tmp_path
    event = store(account, OLD.start)
    assert prune(NOW) == 1
    (packed,) = tmp_path.glob("*.gz")
    assert packed.stat().st_mode & 0o077 == 0
    assert ensure_archived(OLDER, tmp_path).rows == 0
    assert PrunedMonth.objects.get(month=OLD.start).is_archived
    call_command("archive_events", "--restore", "2025-03", stdout=io.StringIO())
    assert EventLog.objects.get().pk == event.pk
    # Brought back to be looked at, it is not removed again at once.
    assert prune(NOW) == 0
    PrunedMonth.objects.update(keep_until=NOW)
    assert prune(NOW) == 1


def test_a_tampered_archive_keeps_its_month(account, months, settings, tmp_path, caplog):
    settings.EVENT_RETENTION_DAYS, settings.EVENT_ARCHIVE_DIR = 365, tmp_path
    store(account, OLD.start)
    archive = ensure_archived(OLD, tmp_path)
    path = tmp_path / archive.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert prune(NOW) == 0
    assert EventLog.objects.count() == 1
    assert "is not what its manifest says" in caplog.text
    path.unlink()
    assert prune(NOW) == 0
    assert EventLog.objects.count() == 1


def test_rows_that_came_after_the_archive_was_written_are_archived_too(
    account, months, settings, tmp_path
):
    settings.EVENT_RETENTION_DAYS, settings.EVENT_ARCHIVE_DIR = 365, tmp_path
    store(account, OLD.start, key="1")
    first = ensure_archived(OLD, tmp_path)
    late = store(account, OLD.start, key="2")
    assert prune(NOW) == 2
    (packed,) = tmp_path.glob("*.gz")
    assert packed.name != first.file
    call_command("archive_events", "--restore", "2025-03", stdout=io.StringIO())
    assert EventLog.objects.filter(pk=late.pk).exists()


def test_a_removal_that_was_broken_off_goes_on(account, settings, tmp_path, monkeypatch, announced):
    settings.EVENT_RETENTION_DAYS, settings.EVENT_ARCHIVE_DIR = 365, tmp_path
    monkeypatch.setattr(module, "_BATCH", 2)
    events = [store(account, OLD.start, key=str(number)) for number in range(7)]
    whole = module._remove_batch

    def breaks_off(rows):
        if EventLog.objects.count() < 5:
            raise KeyboardInterrupt
        return whole(rows)

    monkeypatch.setattr(module, "_remove_batch", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        prune(NOW)
    assert EventLog.objects.count() == 3
    monkeypatch.setattr(module, "_remove_batch", whole)
    # It came meanwhile, is in no archive yet, and so is not removed with the others.
    late = store(account, OLD.start, key="late")
    assert prune(NOW) == 3
    assert EventLog.objects.get() == late
    assert announced == [event.pk for event in events]
    assert prune(NOW) == 1
    call_command("archive_events", "--restore", "2025-03", stdout=io.StringIO())
    assert EventLog.objects.count() == 8


# --- Others at the same time ---------------------------------------------------------------------


@pytest.fixture
def partition():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no partitions")
    assert make_partition(OLD)
    yield partitions()[OLD]
    if OLD in partitions():
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {partitions()[OLD]}")


def in_thread(work) -> tuple[threading.Thread, list]:
    results: list = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


@pytest.mark.postgres
def test_a_row_that_comes_while_the_hooks_read_puts_it_off(account, partition, monkeypatch):
    store(account, OLD.start, key="1")
    late: list[EventLog] = []

    def arrives(events: EventLogQuerySet) -> None:
        if not late:
            thread, results = in_thread(lambda: store(account, OLD.start, key="2"))
            thread.join()
            late.extend(results)

    monkeypatch.setattr(
        retention_hooks, "_before_removal", [*retention_hooks._before_removal, arrives]
    )
    with pytest.raises(Postponed, match="meanwhile"):
        remove_month(OLD)
    assert EventLog.objects.count() == 2
    assert OLD in partitions()
    assert not PrunedMonth.objects.exists()
    assert remove_month(OLD) == 2


@pytest.mark.postgres
def test_a_row_that_is_folded_while_the_hooks_read_puts_it_off(account, partition, monkeypatch):
    dead = store(account, OLD.start, status="dead", folded_at=None)

    def folds(events: EventLogQuerySet) -> None:
        again = EventLog.objects.filter(pk=dead.pk)
        thread, _ = in_thread(lambda: again.update(status="processed", folded_at=NOW))
        thread.join()

    monkeypatch.setattr(
        retention_hooks, "_before_removal", [*retention_hooks._before_removal, folds]
    )
    with pytest.raises(Postponed, match="meanwhile"):
        remove_month(OLD)
    assert EventLog.objects.count() == 1


@pytest.mark.postgres
def test_a_reader_of_the_whole_log_puts_it_off_and_no_callback_is_refused(
    account, partition, monkeypatch
):
    attempts = module._DETACH_ATTEMPTS
    monkeypatch.setattr(module, "_DETACH_ATTEMPTS", 3)
    store(account, OLD.start)
    reading, go_on = threading.Event(), threading.Event()

    def read() -> None:
        with transaction.atomic():
            EventLog.objects.count()
            reading.set()
            go_on.wait(timeout=300)

    reader, _ = in_thread(read)
    assert reading.wait(timeout=60)
    removing, results = in_thread(lambda: remove_month(OLD))
    number = 0
    while removing.is_alive():
        number += 1
        body = message_xml("text", at=int(time.time()), Content=str(number))
        assert push(account, body).status_code == 200
    assert isinstance(results[0], Postponed)
    assert "too busy" in str(results[0])
    assert reader.is_alive()
    go_on.set()
    reader.join()
    monkeypatch.setattr(module, "_DETACH_ATTEMPTS", attempts)
    assert remove_month(OLD) == 1


@pytest.mark.postgres
@pytest.mark.parametrize("table", [OfficialAccount._meta.db_table, DEFAULT_PARTITION])
def test_the_end_of_a_vacuum_is_waited_for(account, partition, monkeypatch, table):
    """A month is not detached while the default partition or the accounts are vacuumed."""
    store(account, OLD.start)
    held, go_on = threading.Event(), threading.Event()

    def vacuum() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # VACUUM's own lock.
            cursor.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
            held.set()
            go_on.wait(timeout=300)

    vacuuming, _ = in_thread(vacuum)
    assert held.wait(timeout=60)
    detach, attempts = module._detach, []

    def attempt(*arguments: object) -> None:
        attempts.append(arguments)
        if len(attempts) == 3:
            go_on.set()
            vacuuming.join()
        detach(*arguments)

    monkeypatch.setattr(module, "_detach", attempt)
    assert remove_month(OLD) == 1
    assert len(attempts) == 3


@pytest.mark.postgres
def test_a_partition_that_could_not_be_dropped_is_dropped_the_next_time(
    account, partition, settings, caplog
):
    settings.EVENT_RETENTION_DAYS = 365
    store(account, OLD.start)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        # A foreign key's end: dropping the partition wants the accounts for itself.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE events_officialaccount IN ACCESS SHARE MODE")
            held.set()
            go_on.wait(timeout=300)

    holder, _ = in_thread(hold)
    assert held.wait(timeout=60)
    assert remove_month(OLD) == 1
    assert "will be dropped later" in caplog.text
    assert EventLog.objects.count() == 0
    go_on.set()
    holder.join()
    prune(NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'events_eventlog_rem%'")
        assert cursor.fetchone() == (0,)


@pytest.mark.postgres
def test_one_process_removes_at_a_time(account, settings, partition):
    settings.EVENT_RETENTION_DAYS = 365
    for number in range(50):
        store(account, OLD.start, key=str(number))
        store(account, OLDER.start, key=str(number))
    racing = [in_thread(lambda: prune(NOW)) for _ in range(4)]
    for thread, _ in racing:
        thread.join()
    assert sum(results[0] for _, results in racing) == 100
    assert EventLog.objects.count() == 0


@pytest.mark.slow
def test_nothing_is_lost_while_a_writer_inserts(account, months):
    """New rows of the month that goes: each is either announced or still there."""
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("threads share one connection's memory")
    announced: list[int] = []

    def listen(events: EventLogQuerySet) -> None:
        pending.extend(events.values_list("pk", flat=True))

    pending: list[int] = []
    retention_hooks.before_removal(listen)
    written: list[int] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set() and number < 400:
            number += 1
            moment = OLD.start + datetime.timedelta(seconds=number)
            event = EventLog(
                account=account,
                dedup_key=str(number),
                kind="text",
                openid="o1",
                event_time=moment,
                received_at=timezone.now(),
                last_delivered_at=timezone.now(),
                raw=b"<xml/>",
                status="processed",
            )
            assert deliver([event]) == [True]
            written.append(event.pk)

    try:
        thread, results = in_thread(write)
        while thread.is_alive():
            pending.clear()
            try:
                remove_month(OLD)
            except Postponed:
                continue
            announced.extend(pending)
        thread.join()
    finally:
        retention_hooks._before_removal.remove(listen)
    assert results == [None]
    left = list(EventLog.objects.values_list("pk", flat=True))
    assert sorted(announced + left) == sorted(written)
    assert DEFAULT_PARTITION not in partitions().values()

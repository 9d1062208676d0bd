"""Months as files: whole or not there, and back again as they were."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.models import EventLog, OfficialAccount, PrunedMonth
from events.months import Month
from events.retention.archive import (
    ArchiveError,
    archives,
    closed_months,
    ensure_archived,
    find,
    restore,
)
from events.retention.archive.records import event_of, line_of
from events.testing import make_account

pytestmark = pytest.mark.django_db

MONTH = Month(2025, 3)
ROOT = Path(__file__).resolve().parents[3]
COLUMNS = [field.attname for field in EventLog._meta.concrete_fields]


@pytest.fixture
def account():
    return make_account(mode="plaintext")


def store(account, number: int = 1, month: Month = MONTH, **columns) -> EventLog:
    moment = month.start + datetime.timedelta(seconds=number)
    values = {
        "dedup_key": str(number),
        "kind": "text",
        "openid": f"o{number}",
        "raw": b"<xml>\x00\xff</xml>",
        "status": "processed",
        "received_at": moment + datetime.timedelta(microseconds=number),
        "folded_at": moment,
    } | columns
    return EventLog.objects.create(
        account=account, event_time=moment, last_delivered_at=moment, **values
    )


def rows() -> list[tuple]:
    return [
        tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
        for row in EventLog.objects.order_by("pk").values_list(*COLUMNS)
    ]


def remove_all() -> None:
    EventLog.objects.all().delete()


def test_an_archive_has_every_column_as_it_was(account, tmp_path):
    store(account, 1, msg_id="12345678901234567890", event_key="鍵 \n\"'", scene="poster")
    store(account, 2, error="Traceback…", reply="<xml>好</xml>", delivery_count=3, attempts=2)
    store(make_account("two", mode="plaintext"), 3, folded_at=None, status="set_aside")
    followed_at = MONTH.start - datetime.timedelta(days=400)
    store(account, 5, kind="import.follower", source="import", followed_at=followed_at)
    store(account, 4, month=MONTH.plus(1))
    before = rows()
    archive = ensure_archived(MONTH, tmp_path)
    assert archive.rows == 4
    EventLog.objects.in_month(MONTH).delete()
    assert restore(MONTH, tmp_path) == 4
    assert rows() == before
    assert restore(MONTH, tmp_path) == 0
    assert rows() == before


def test_the_files_can_be_read_without_this_site(account, tmp_path):
    event = store(account, 1)
    ensure_archived(MONTH, tmp_path)
    manifest = json.loads((tmp_path / "events-2025-03.json").read_text())
    packed = (tmp_path / manifest["file"]).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == manifest["sha256"]
    content = gzip.decompress(packed)
    assert hashlib.sha256(content).hexdigest() == manifest["content_sha256"]
    (record,) = [json.loads(line) for line in content.splitlines()]
    assert list(record) == manifest["columns"] == COLUMNS
    assert record["id"] == event.pk == manifest["contents"]["first_id"]
    assert record["received_at"] == "2025-03-01T00:00:01.000001+00:00"
    assert manifest["rows"] == 1
    assert manifest["accounts"] == {str(account.pk): "shop"}


def test_the_same_rows_are_not_written_again(account, tmp_path):
    store(account, 1)
    first = ensure_archived(MONTH, tmp_path)
    written = (tmp_path / first.file).stat().st_mtime_ns
    assert ensure_archived(MONTH, tmp_path) == first
    assert (tmp_path / first.file).stat().st_mtime_ns == written
    # A new outcome is another content.
    EventLog.objects.update(delivery_count=2)
    second = ensure_archived(MONTH, tmp_path)
    assert second.file != first.file
    assert [path.name for path in tmp_path.glob("*.gz")] == [second.file]


def test_what_killed_processes_left_is_cleared_away_after_a_day(account, tmp_path):
    fresh, stale = tmp_path / ".events-1.partial", tmp_path / ".events-2.partial"
    for path in (fresh, stale):
        path.write_bytes(b"half")
    os.utime(stale, (time.time() - 90_000,) * 2)
    store(account, 1)
    ensure_archived(MONTH, tmp_path)
    assert fresh.exists()
    assert not stale.exists()


def test_months_are_closed_some_days_after_their_end(account):
    store(account, 1)
    store(account, 2, month=MONTH.plus(1))
    end = MONTH.plus(1).end
    assert closed_months(end + datetime.timedelta(days=2, hours=23)) == [MONTH]
    assert closed_months(end + datetime.timedelta(days=3)) == [MONTH, MONTH.plus(1)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content + b"\n",
        lambda content: gzip.compress(gzip.decompress(content).replace(b'"o1"', b'"o2"')),
        lambda content: gzip.compress(gzip.decompress(content) * 2),
    ],
)
def test_a_changed_file_is_refused(account, tmp_path, damage):
    store(account, 1)
    archive = ensure_archived(MONTH, tmp_path)
    path = tmp_path / archive.file
    path.write_bytes(damage(path.read_bytes()))
    remove_all()
    with pytest.raises(ArchiveError):
        restore(MONTH, tmp_path)
    assert rows() == []
    with pytest.raises(CommandError, match="1 archives are broken"):
        call_command("archive_events", "--to", tmp_path, "--verify", stdout=io.StringIO())


@pytest.mark.parametrize(
    "damage",
    [
        lambda said: said | {"file": "../" + said["file"]},
        lambda said: said | {"schema": 2},
        lambda said: {name: value for name, value in said.items() if name != "sha256"},
        lambda said: said | {"rows": 2},
        lambda said: [],
    ],
)
def test_a_changed_manifest_is_refused(account, tmp_path, damage):
    store(account, 1)
    ensure_archived(MONTH, tmp_path)
    path = tmp_path / "events-2025-03.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    remove_all()
    with pytest.raises(ArchiveError):
        restore(MONTH, tmp_path)
    assert rows() == []


def test_what_does_not_fit_this_database_is_refused(account, tmp_path):
    event = store(account, 1)
    ensure_archived(MONTH, tmp_path)
    with pytest.raises(ArchiveError, match="no archive of 2025-04"):
        restore(MONTH.plus(1), tmp_path)
    remove_all()
    store(account, 9, pk=event.pk)
    with pytest.raises(ArchiveError, match=f"The id {event.pk} belongs to another event"):
        restore(MONTH, tmp_path)
    remove_all()
    OfficialAccount.objects.all().delete()
    with pytest.raises(ArchiveError, match="account that is not here"):
        restore(MONTH, tmp_path)


def test_a_month_that_does_not_fit_is_refused_before_any_row_returns(
    account, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys.modules[restore.__module__], "_BATCH", 1)
    other = make_account("two", mode="plaintext")
    store(account, 1)
    last = store(other, 2)
    ensure_archived(MONTH, tmp_path)
    remove_all()
    stranger = store(account, 3, month=MONTH.plus(1), pk=last.pk)
    with pytest.raises(ArchiveError, match=f"The id {last.pk} belongs to another event"):
        restore(MONTH, tmp_path, keep_until=timezone.now())
    assert EventLog.objects.get() == stranger
    remove_all()
    other.delete()
    with pytest.raises(ArchiveError, match="account that is not here"):
        restore(MONTH, tmp_path, keep_until=timezone.now())
    assert not EventLog.objects.exists()
    assert not PrunedMonth.objects.exclude(keep_until=None).exists()


def test_accounts_are_found_by_their_handle_and_new_ids_follow(account, tmp_path):
    event = store(account, 1, pk=70_000)
    ensure_archived(MONTH, tmp_path)
    remove_all()
    OfficialAccount.objects.all().delete()
    make_account("other", mode="plaintext")
    again = make_account(mode="plaintext")
    assert again.pk != account.pk
    restore(MONTH, tmp_path)
    restored = EventLog.objects.get()
    assert (restored.pk, restored.account_id) == (event.pk, again.pk)
    assert store(again, 2).pk > event.pk


@pytest.mark.slow
def test_memory_does_not_grow_with_the_month(account, tmp_path):
    import tracemalloc

    def peak(number: int) -> int:
        EventLog.objects.bulk_create(
            EventLog(
                account=account,
                dedup_key=f"{number}-{n}",
                kind="text",
                event_time=MONTH.start,
                received_at=MONTH.start,
                last_delivered_at=MONTH.start,
                raw=os.urandom(2000),
                status="processed",
            )
            for n in range(number)
        )
        tracemalloc.start()
        ensure_archived(MONTH, tmp_path)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    small = peak(1000)
    assert peak(4000) < small * 1.6


def test_the_command_writes_verifies_and_restores(account, tmp_path, settings):
    output = io.StringIO()
    with pytest.raises(CommandError, match="Say where"):
        call_command("archive_events", stdout=output)
    settings.EVENT_ARCHIVE_DIR = tmp_path / "archive"
    store(account, 1)
    store(account, 2, month=MONTH.plus(1))
    call_command("archive_events", stdout=output)
    assert "2025-03: 1 rows in events-2025-03." in output.getvalue()
    call_command("archive_events", "--verify", stdout=output)
    assert "2025-04 part 1: 1 rows, whole" in output.getvalue()
    call_command("archive_events", "--to", tmp_path / "one", "--month", "2025-04", stdout=output)
    assert [archive.month for archive in archives(tmp_path / "one")] == [MONTH.plus(1)]
    EventLog.objects.in_month(MONTH).delete()
    call_command("archive_events", "--restore", "2025-03", stdout=output)
    assert EventLog.objects.in_month(MONTH).count() == 1
    with pytest.raises(CommandError, match="not a month"):
        call_command("archive_events", "--restore", "2025-3", stdout=output)


@pytest.mark.parametrize("options", [[], ["--month", "2025-03"], ["--restore", "2025-03"]])
def test_nothing_is_written_or_brought_back_during_an_erasure(
    account, tmp_path, monkeypatch, options
):
    """Who is erased meanwhile would stay in it."""
    store(account)
    ensure_archived(MONTH, tmp_path)
    monkeypatch.setattr(
        "events.management.commands.archive_events.alone", lambda task: nullcontext(False)
    )
    with pytest.raises(CommandError, match="erases a person"):
        call_command("archive_events", "--to", tmp_path, *options)


class ArchiveLaws(TestCase):
    @settings(max_examples=100, deadline=None)
    @given(
        raw=st.binary(),
        text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        moment=st.datetimes(
            datetime.datetime(1900, 1, 1),
            datetime.datetime(9999, 1, 1),
            timezones=st.just(datetime.UTC),
        ),
        optional=st.none() | st.integers(0, 10**6),
    )
    def test_a_line_gives_back_what_was_written(self, raw, text, moment, optional):
        event = EventLog(
            pk=7,
            account_id=3,
            raw=raw,
            event_key=text,
            event_time=moment,
            received_at=moment,
            last_delivered_at=moment,
            duration_ms=optional,
        )
        line = line_of(tuple(getattr(event, name) for name in COLUMNS))
        assert line.count(b"\n") == 1
        back = event_of(json.loads(line), {3: 3}, was_removed=False)
        for name in COLUMNS:
            assert getattr(back, name) == getattr(event, name)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_archive_leaves_nothing_that_is_taken_for_whole(race_database, tmp_path):
    """kill -9 at different moments of a process that archives again and again."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{race_database}"
        if connection.vendor == "sqlite"
        else os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{race_database}",
        "DJANGO_SETTINGS_MODULE": "wechat_site.settings",
        "FOLDER": str(tmp_path / "archive"),
    }
    fill = """
import datetime, os, django
django.setup()
from events.models import EventLog
from events.months import Month
from events.testing import make_account
account = make_account(mode="plaintext")
start = Month(2025, 3).start
EventLog.objects.bulk_create(
    EventLog(account=account, dedup_key=str(n), kind="text", event_time=start, received_at=start,
             last_delivered_at=start, raw=os.urandom(500), status="processed")
    for n in range(3000))
"""
    work = """
import os, django
from pathlib import Path
django.setup()
from django.db.models import F
from events.retention.archive import ensure_archived
from events.models import EventLog
from events.months import Month
print("ready", flush=True)
while True:
    ensure_archived(Month(2025, 3), Path(os.environ["FOLDER"]))
    print("archived", flush=True)
    EventLog.objects.filter(dedup_key="1").update(delivery_count=F("delivery_count") + 1)
"""
    run = [sys.executable, "-c"]
    subprocess.run([*run, fill], cwd=ROOT, env=environment, check=True)
    folder = tmp_path / "archive"

    def unfinished() -> set[Path]:
        return set(folder.glob(".*.partial"))

    for number in range(4):
        former = unfinished()
        process = subprocess.Popen(
            [*run, work], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(number):
            assert process.stdout.readline() == "archived\n"
        while unfinished() <= former:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(0.02 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        archive = find(MONTH, folder, part=1)
        if archive is not None:
            archive.verify()
            assert archive.rows == 3000
    # It was killed in the middle, or this test shows nothing.
    assert unfinished()
    assert archive is not None

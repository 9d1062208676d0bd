from __future__ import annotations

import contextlib
import datetime
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from events.jobs import runner, task
from events.jobs.queues import EventQueue
from events.jobs.runner import allow_connections, run_tasks
from events.jobs.task import LEASE, Task, has_work, run_task
from events.models import TaskRun
from wechat_site.tasks import TASKS
from wechat_site.tests.launch import ROOT

NEVER = threading.Event()


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(task, "_tallies", {})


def local(name, serve, **options):
    """A task that is served in the test's own thread, where its database is."""
    return Task(name, serve, **{"every": 0.01, "quick": True} | options)


class NoTable(EventQueue):
    """A queue that answers for itself; how often it was looked at is in `looks`."""

    def __init__(self, is_due=True):
        self.answer, self.looks = is_due, 0

    def is_due(self, now):
        self.looks += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


# --- Threads -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_failing_task_does_not_keep_the_others_from_their_work(caplog):
    stop = threading.Event()
    served = []

    def fails() -> int:
        raise RuntimeError("no")

    def works() -> int:
        served.append(1)
        if len(served) == 3:
            stop.set()
        return 0

    queue = EventQueue()
    run_tasks([local("fails", fails, queue=queue), local("works", works, queue=queue)], stop)

    assert len(served) == 3
    assert "Task 'fails' failed" in caplog.text
    run = TaskRun.objects.get(pk="fails")
    assert run.error == "RuntimeError: no"
    assert run.failures >= 1


@pytest.mark.django_db(transaction=True)
def test_a_task_waits_for_its_pause():
    stop = threading.Event()
    often, seldom = [], []

    def serve_often() -> int:
        often.append(1)
        if len(often) == 4:
            stop.set()
        return 0

    run_tasks(
        [
            local("seldom", lambda: seldom.append(1) or 0, every=3600),
            local("often", serve_often, queue=EventQueue()),
        ],
        stop,
    )

    assert len(seldom) == 1


@pytest.mark.django_db(transaction=True)
def test_a_queue_is_served_until_it_is_empty():
    left = [3]

    def serve():
        served, left[0] = min(left[0], 1), max(left[0] - 1, 0)
        return served

    run_task(local("rows", serve, every=3600, queue=EventQueue()), NEVER)
    assert left == [0]
    run_task(local("rows", lambda: 1, every=3600, queue=EventQueue()), NEVER, at_most=0.05)


@pytest.mark.django_db(transaction=True)
def test_a_slow_platform_delays_nothing_else(caplog):
    stop = threading.Event()
    calling, several = threading.Event(), threading.Barrier(2)
    served = []

    def calls_the_platform() -> int:
        several.wait(timeout=120)  # two threads are in here at a time
        calling.set()
        assert stop.wait(120)
        return 0

    def retries_events() -> int:
        if calling.is_set():
            served.append(1)
            if len(served) == 3:
                stop.set()
        return 0

    queue = NoTable()
    run_tasks(
        [
            Task("slow", calls_the_platform, every=1, queue=queue, threads=2),
            local("events", retries_events, queue=queue),
        ],
        stop,
    )
    assert len(served) == 3
    # what was under way was finished, and nothing is left running
    assert [thread for thread in threading.enumerate() if thread.name == "slow"] == []


@pytest.mark.django_db(transaction=True)
def test_an_idle_queue_costs_one_look_however_many_threads_serve_it(caplog):
    stop = threading.Event()
    served = []
    idle, busy, broken = NoTable(False), NoTable(), NoTable(RuntimeError("no table"))

    def serve_busy() -> int:
        served.append("busy")
        if served.count("busy") == 5:
            stop.set()
        return 0

    run_tasks(
        [
            Task("broken", lambda: served.append("broken") or 0, every=0.05, queue=broken),
            Task("idle", lambda: served.append("idle") or 0, every=0.05, queue=idle, threads=4),
            Task("busy", serve_busy, every=0.05, queue=busy),
        ],
        stop,
    )

    assert set(served) == {"busy"}
    assert 1 <= idle.looks <= busy.looks + 1
    assert broken.looks >= busy.looks - 1
    assert "Task 'broken' could not be run" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_long_queue_leaves_room_for_the_tasks_that_share_its_thread(monkeypatch):
    monkeypatch.setattr(runner, "_TURN", 0.05)
    stop = threading.Event()
    backstop = threading.Timer(120, stop.set)
    backstop.start()
    others = []

    def serve_other() -> int:
        others.append(1)
        stop.set()
        return 0

    run_tasks(
        [
            local("endless", lambda: time.sleep(0.01) or 1, queue=EventQueue()),
            local("other", serve_other, queue=EventQueue()),
        ],
        stop,
    )
    backstop.cancel()
    assert others == [1]


@pytest.mark.django_db(transaction=True)
def test_that_an_empty_queue_was_looked_at_is_noted(django_assert_num_queries):
    task = local("rows", lambda: 0, every=1, queue=EventQueue())
    assert not has_work(task)
    assert TaskRun.objects.get().finished_at is not None
    with django_assert_num_queries(1):
        assert not has_work(task)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_is_away_ends_nothing(monkeypatch, caplog, error):
    def away(*args, **kwargs):
        raise error("gone")

    monkeypatch.setattr(TaskRun.objects, "filter", away)
    run_task(local("rows", lambda: 0, every=1), NEVER)
    assert "could not be run" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_lease_is_renewed_after_the_database_was_away(monkeypatch, caplog, error):
    monkeypatch.setattr(task, "LEASE", datetime.timedelta(seconds=0.03))
    renewed = threading.Event()
    times = 0

    def renew(*args):
        nonlocal times
        times += 1
        if times == 1:
            raise error("gone")
        renewed.set()
        return True

    monkeypatch.setattr(TaskRun.objects, "renew", renew)
    run_task(local("rows", lambda: int(renewed.wait(30)), every=1), NEVER)
    assert renewed.is_set()
    assert "could not be renewed" in caplog.text


def test_each_thread_has_a_connection(monkeypatch):
    pool = {"max_size": 4}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"pool": pool})
    allow_connections([Task("a", lambda: 0, every=1, threads=4), Task("b", lambda: 0, every=1)])
    assert pool["max_size"] == 3 + 5 + 2
    pool["max_size"] = 200
    allow_connections(TASKS)
    assert pool["max_size"] == 200


# --- The schedule ------------------------------------------------------------------------------


def test_a_task_has_one_schedule():
    with pytest.raises(ValueError, match="either every or at"):
        Task("x", lambda: 0)
    with pytest.raises(ValueError, match="either every or at"):
        Task("x", lambda: 0, every=1, at=datetime.time(4))
    with pytest.raises(ValueError, match="queue"):
        Task("x", lambda: 0, at=datetime.time(4), queue=EventQueue())


def test_names_fit_their_column_and_differ():
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 64


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("Asia/Shanghai", "2026-11-23T19:59:59+00:00", "2026-11-23T20:00:00+00:00"),
        ("Asia/Shanghai", "2026-11-23T20:00:00+00:00", "2026-11-24T20:00:00+00:00"),
        # New York's clocks go back on November 1st, 2026.
        ("America/New_York", "2026-10-31T10:00:00+00:00", "2026-11-01T09:00:00+00:00"),
    ],
)
def test_a_time_of_day_is_by_the_sites_clock(settings, zone, now, expected):
    settings.TIME_ZONE = zone
    task = Task("x", lambda: 0, at=datetime.time(4))
    moment = datetime.datetime.fromisoformat(now)
    assert task.next_after(moment) == datetime.datetime.fromisoformat(expected)


@pytest.mark.django_db(transaction=True)
def test_a_scheduled_task_is_done_once_each_time_and_a_restart_repeats_nothing():
    done = []
    task = local("hourly", lambda: done.append(1) or 7, every=3600)
    for _ in range(3):
        run_task(task, NEVER)
    assert len(done) == 1
    run = TaskRun.objects.get()
    assert (run.served, run.served_in_all, run.error, run.lease) == (7, 7, "", "")
    assert run.next_run_at - run.started_at == datetime.timedelta(hours=1)
    TaskRun.objects.update(next_run_at=timezone.now())
    run_task(task, NEVER)
    assert len(done) == 2
    assert TaskRun.objects.get().served_in_all == 14


@pytest.mark.django_db(transaction=True)
def test_a_daily_task_waits_for_its_first_time_and_makes_up_for_a_missed_one():
    done = []
    at = (timezone.localtime() + datetime.timedelta(hours=2)).time().replace(microsecond=0)
    task = local("daily", lambda: done.append(1) or 0, every=None, at=at)
    run_task(task, NEVER)
    assert done == []
    run = TaskRun.objects.get()
    assert datetime.timedelta(0) < run.next_run_at - timezone.now() <= datetime.timedelta(hours=2)
    TaskRun.objects.update(next_run_at=timezone.now() - datetime.timedelta(hours=5))
    run_task(task, NEVER)
    assert len(done) == 1
    assert TaskRun.objects.get().next_run_at == run.next_run_at


@pytest.mark.django_db(transaction=True)
def test_a_killed_workers_task_is_done_when_its_lease_is_over():
    done = []
    task = local("hourly", lambda: done.append(1) or 0, every=3600)
    run_task(task, NEVER)
    now = timezone.now()
    TaskRun.objects.update(next_run_at=now)
    assert TaskRun.objects.claim("hourly", now, next_run_at=task.next_after(now), lease=LEASE)
    run_task(task, NEVER)
    assert len(done) == 1
    TaskRun.objects.update(leased_until=now)
    run_task(task, NEVER)
    assert len(done) == 2


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_lease_was_lost_notes_nothing():
    def loses_it() -> int:
        TaskRun.objects.update(lease="another", leased_until=timezone.now() + LEASE)
        return 5

    run_task(local("hourly", loses_it, every=3600), NEVER)
    run = TaskRun.objects.get()
    assert (run.lease, run.served, run.finished_at) == ("another", 0, None)


@pytest.mark.django_db(transaction=True)
def test_a_long_task_keeps_its_lease(monkeypatch):
    monkeypatch.setattr(task, "LEASE", datetime.timedelta(seconds=1))
    ends = set()

    def takes_long() -> int:
        began = time.monotonic()
        while len(ends) < 3:
            ends.add(TaskRun.objects.get().leased_until)
            assert time.monotonic() < began + 120
            time.sleep(0.05)
        return 0

    run_task(local("sync", takes_long, every=3600), NEVER)
    assert None not in ends
    assert TaskRun.objects.get().leased_until is None


@pytest.mark.django_db(transaction=True)
def test_a_failed_task_is_tried_again_after_growing_pauses(caplog):
    def fails() -> int:
        raise RuntimeError("no\0t today")

    task = local("daily", fails, every=None, at=datetime.time(4))
    run_task(task, NEVER)
    pauses = []
    for _ in range(8):
        TaskRun.objects.update(next_run_at=timezone.now())
        run_task(task, NEVER)
        run = TaskRun.objects.get()
        pauses.append(round((run.next_run_at - run.failed_at).total_seconds() / 60))
    tomorrow = round((task.next_after(run.failed_at) - run.failed_at).total_seconds() / 60)
    assert pauses == [min(minutes, tomorrow) for minutes in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert (run.error, run.failures) == ("RuntimeError: not today", 8)


@pytest.mark.django_db(transaction=True)
def test_a_changed_schedule_holds_from_the_last_run_on():
    done = []
    serve = lambda: done.append(1) or 0  # noqa: E731
    run_task(local("x", serve, every=3600), NEVER)
    run_task(local("x", serve, every=60), NEVER)
    run = TaskRun.objects.get()
    assert run.next_run_at - run.started_at == datetime.timedelta(seconds=60)
    # Two versions at work while one replaces the other do not call it again and again.
    for every in (3600, 60) * 3:
        run_task(local("x", serve, every=every), NEVER)
    assert len(done) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_done_of_a_queue_is_noted_now_and_then(django_assert_num_queries):
    task = local("rows", lambda: 0, every=1, queue=EventQueue())
    run_task(task, NEVER)
    assert TaskRun.objects.get().finished_at is not None
    with django_assert_num_queries(0):
        run_task(task, NEVER)


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_served_again_has_failed_no_more(caplog):
    outcomes = [RuntimeError("no"), 0]

    def serve():
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    task = local("rows", serve, every=1, queue=EventQueue())
    run_task(task, NEVER)
    assert TaskRun.objects.get().failures == 1
    run_task(task, NEVER)
    run = TaskRun.objects.get()
    assert (run.failures, run.error) == (0, "")


# --- The command -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.any_database
def test_sigterm_ends_the_worker_cleanly(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{tmp_path}/worker.sqlite3",
        "PYTHONUNBUFFERED": "1",
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True
    )
    worker = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 120
    with contextlib.closing(sqlite3.connect(tmp_path / "worker.sqlite3")) as database:
        while not database.execute("SELECT 1 FROM events_taskrun").fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=120) == 0

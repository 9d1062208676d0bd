"""Who gets a thread when."""

from __future__ import annotations

import sys
import threading
from collections import Counter

import pytest

from events.log.replies.reply_pool import ReplyPool

pytestmark = pytest.mark.any_database


class Jobs:
    """Jobs that run until they are told to end, and who is at it."""

    def __init__(self, pool: ReplyPool) -> None:
        self.pool = pool
        self.running: Counter[int] = Counter()
        self.order: list[int] = []
        self.changed = threading.Condition()
        self.may_end = threading.Semaphore(0)

    def submit(self, account: int) -> bool:
        def job() -> None:
            with self.changed:
                self.running[account] += 1
                self.order.append(account)
                self.changed.notify_all()
            assert self.may_end.acquire(timeout=60)

        return self.pool.submit(account, job)

    def wait_for(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.running.total() >= number, 60)


def test_an_account_leaves_threads_to_the_others():
    jobs = Jobs(ReplyPool(16))
    for _ in range(8):
        assert jobs.submit(1)
    jobs.wait_for(8)
    # as many wait as there are threads
    assert [jobs.submit(1) for _ in range(40)].count(True) == 16
    in_all = 8
    for account, threads in ((2, 4), (3, 2), (4, 1)):
        in_all += threads
        for _ in range(3 * threads):
            jobs.submit(account)
        jobs.wait_for(in_all)
        assert jobs.running[account] == threads
    assert jobs.running[1] == 8
    assert jobs.pool.has_room(5)
    assert not jobs.pool.has_room(1)
    jobs.submit(5)
    jobs.wait_for(16)
    jobs.may_end.release(1000)


def test_who_waits_has_a_turn_before_the_others_next_one():
    jobs = Jobs(ReplyPool(1))
    jobs.submit(1)
    jobs.wait_for(1)
    for account in (2, 3):
        assert jobs.submit(account)
    assert not jobs.submit(2)
    jobs.may_end.release(3)
    jobs.wait_for(3)
    assert jobs.order == [1, 2, 3]


def test_what_has_not_begun_can_be_withdrawn():
    pool = ReplyPool(1)
    begun, may_end = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        may_end.wait(60)

    def second() -> None:
        raise AssertionError("it was withdrawn")

    assert pool.submit(1, first)
    assert begun.wait(60)
    assert pool.submit(1, second)
    assert not pool.withdraw(1, first)
    assert pool.withdraw(1, second)
    may_end.set()
    pool.finish(60)


def test_a_job_that_raises_costs_no_thread(caplog):
    pool = ReplyPool(1)

    def fails() -> None:
        raise RuntimeError("boom")

    done = threading.Event()
    pool.submit(1, fails)
    pool.submit(2, done.set)
    assert done.wait(60)
    assert "boom" in caplog.text


def test_a_handler_that_exits_costs_no_thread():
    pool, began, done = ReplyPool(1), threading.Event(), threading.Event()

    def exits() -> None:
        began.set()
        sys.exit()

    assert pool.submit(1, exits)
    assert began.wait(60)
    assert pool.submit(1, done.set)
    assert done.wait(60)

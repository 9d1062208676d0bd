"""Who waits for whom when pushes are written together. The rows here are numbers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from unittest import mock

import pytest
from django.db import DataError, OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st

from events.callback import group_commit
from events.callback.group_commit import GroupCommit, LoopCommit


class Store:
    """Notes each batch; refuses the numbers it is told to, and can be made to wait."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.stored: set[int] = set()
        self.refused: set[int] = set()
        self.error: Exception = DataError("no such number")
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_writing = threading.Event()

    def deliver(self, rows: Sequence[int], lock_timeout: float) -> list[bool]:
        self.is_writing.set()
        assert self.may_go_on.wait(120)
        self.batches.append(list(rows))
        if self.refused & set(rows):
            raise self.error
        are_new = [row not in self.stored for row in rows]
        self.stored |= set(rows)
        return are_new


@pytest.fixture
def store():
    return Store()


def even_only(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


class Requests:
    """Threads that store a number each, and what came of it."""

    def __init__(self, writer: GroupCommit[int, int]) -> None:
        self.writer = writer
        self.outcomes: dict[int, object] = {}
        self.threads: list[threading.Thread] = []

    def begin(self, *numbers: int) -> None:
        for number in numbers:
            thread = threading.Thread(target=self._store, args=[number])
            self.threads.append(thread)
            thread.start()

    def begin_behind(self, store: Store, first: int, *others: int) -> None:
        """The others come while the first is being written."""
        store.may_go_on.clear()
        self.begin(first)
        assert store.is_writing.wait(120)
        self.begin(*others)
        deadline = time.monotonic() + 120
        while len(self.writer._waiting) < len(others):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def _store(self, number: int) -> None:
        try:
            self.outcomes[number] = self.writer.store(number)
        except Exception as error:
            self.outcomes[number] = error

    def end(self) -> dict[int, object]:
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()
        return self.outcomes


def test_one_alone_is_written_by_its_own_thread_at_once(store):
    threads = []
    writer = GroupCommit(
        lambda number: threads.append(threading.current_thread()) or number,
        store.deliver,
        batch_size=500,
    )
    assert writer.store(2) == (2, True)
    assert writer.store(2) == (2, False)
    assert threads == [threading.current_thread()] * 2
    assert store.batches == [[2], [2]]


def test_those_that_come_meanwhile_share_the_next_batch(store):
    requests = Requests(GroupCommit(even_only, store.deliver, batch_size=500))
    requests.begin_behind(store, 0, 2, 4, 6)
    store.may_go_on.set()
    assert requests.end() == {number: (number, True) for number in (0, 2, 4, 6)}
    assert [sorted(batch) for batch in store.batches] == [[0], [2, 4, 6]]


@pytest.mark.parametrize("size", [1, 2])
def test_no_batch_is_larger_than_allowed_and_all_get_their_turn(store, size):
    requests = Requests(GroupCommit(even_only, store.deliver, batch_size=size))
    requests.begin_behind(store, 0, 2, 4, 6, 8, 10)
    store.may_go_on.set()
    assert set(requests.end().values()) == {(number, True) for number in range(0, 12, 2)}
    assert max(map(len, store.batches)) == size


def test_what_cannot_be_prepared_costs_its_own_request_alone(store):
    requests = Requests(GroupCommit(even_only, store.deliver, batch_size=500))
    requests.begin_behind(store, 0, 2, 3, 4)
    store.may_go_on.set()
    outcomes = requests.end()
    assert isinstance(outcomes.pop(3), ValueError)
    assert outcomes == {0: (0, True), 2: (2, True), 4: (4, True)}


def test_a_row_the_database_refuses_costs_its_own_request_alone(store):
    store.refused = {4}
    requests = Requests(GroupCommit(even_only, store.deliver, batch_size=500))
    requests.begin_behind(store, 0, 2, 4, 6)
    store.may_go_on.set()
    outcomes = requests.end()
    assert isinstance(outcomes.pop(4), DataError)
    assert outcomes == {0: (0, True), 2: (2, True), 6: (6, True)}


def test_a_database_that_is_away_is_not_asked_again_for_each_row(store):
    store.refused, store.error = {4}, OperationalError("server closed the connection")
    requests = Requests(GroupCommit(even_only, store.deliver, batch_size=500))
    requests.begin_behind(store, 0, 2, 4, 6)
    store.may_go_on.set()
    outcomes = requests.end()
    assert outcomes.pop(0) == (0, True)
    assert {type(outcome) for outcome in outcomes.values()} == {OperationalError}
    assert len(store.batches) == 2


def test_whose_turn_does_not_come_gives_up_and_is_not_written_later(store, monkeypatch):
    monkeypatch.setattr(group_commit, "_QUEUE_TIMEOUT", 0.1)
    requests = Requests(GroupCommit(even_only, store.deliver, batch_size=500))
    requests.begin_behind(store, 0, 2, 4)
    for thread in requests.threads[1:]:
        thread.join(120)
    store.may_go_on.set()
    outcomes = requests.end()
    assert outcomes[0] == (0, True)
    assert {type(outcomes[number]) for number in (2, 4)} == {OperationalError}
    assert store.batches == [[0]]
    assert requests.writer.store(6) == (6, True)


def test_one_that_is_given_the_lead_before_it_waits_takes_it(store):
    """On a busy machine a thread may stand still between the queue and the wait."""
    writer = GroupCommit(even_only, store.deliver, batch_size=500)
    requests = Requests(writer)
    requests.begin_behind(store, 0)
    mutex, may_wait = writer._mutex, threading.Event()

    class StandsStill:
        def __enter__(self) -> None:
            mutex.acquire()

        def __exit__(self, *error: object) -> None:
            mutex.release()
            if threading.current_thread() is requests.threads[1]:
                assert may_wait.wait(120)

    writer._mutex = StandsStill()
    for waiting, number in enumerate((2, 4), 1):
        requests.begin(number)
        while len(writer._waiting) < waiting:
            time.sleep(0.001)
    store.may_go_on.set()
    requests.threads[0].join(120)
    may_wait.set()
    assert requests.end() == {number: (number, True) for number in (0, 2, 4)}
    assert store.batches == [[0], [2, 4]]


def test_a_row_that_is_being_written_is_waited_for_within_limits(store, monkeypatch):
    monkeypatch.setattr(group_commit, "_QUEUE_TIMEOUT", 0)
    monkeypatch.setattr(group_commit, "_WRITE_TIMEOUT", 0)
    writer = GroupCommit(even_only, store.deliver, batch_size=500)
    pending = group_commit._InThread(2)
    pending.taken = True
    writer._wait(pending)
    with pytest.raises(OperationalError):
        pending.outcome()
    # One that was given the lead meanwhile takes it, however late its thread looks.
    pending = group_commit._InThread(2)
    pending.leads = True
    pending.turn.release()
    writer._wait(pending)
    assert pending.error is None


def test_a_connection_that_cannot_be_given_back_stops_nobody(store: Store):
    async def three() -> list[tuple[int, bool]]:
        loop = asyncio.get_running_loop()
        writer: LoopCommit[int, int] = LoopCommit(
            even_only,
            store.deliver,
            batch_size=1,
            submit=lambda function: loop.run_in_executor(None, function),
            release=mock.Mock(side_effect=RuntimeError),
        )
        with pytest.raises(ValueError, match="odd"):
            await asyncio.wait_for(writer.store(1), 60)
        return [await asyncio.wait_for(writer.store(number), 60) for number in (2, 4)]

    assert asyncio.run(three()) == [(2, True), (4, True)]


def test_a_writing_thread_that_is_stopped_leaves_nobody_waiting(store: Store):
    class Stopped(BaseException):
        pass

    def deliver(rows: Sequence[int], lock_timeout: float) -> list[bool]:
        if 0 in rows:
            store.deliver(rows, lock_timeout)
            raise Stopped
        return store.deliver(rows, lock_timeout)

    requests = Requests(GroupCommit(even_only, deliver, batch_size=500))

    def first() -> None:
        with pytest.raises(Stopped):
            requests.writer.store(0)

    store.may_go_on.clear()
    thread = threading.Thread(target=first)
    thread.start()
    assert store.is_writing.wait(120)
    requests.begin(2)
    store.may_go_on.set()
    thread.join(120)
    assert requests.end() == {2: (2, True)}


def test_a_projection_that_exits_does_not_end_the_loops_writing_thread(store: Store):
    def deliver(rows: Sequence[int], lock_timeout: float) -> list[bool]:
        if 0 in rows:
            raise SystemExit
        return store.deliver(rows, lock_timeout)

    async def three() -> list[tuple[int, bool]]:
        loop = asyncio.get_running_loop()
        writer: LoopCommit[int, int] = LoopCommit(
            even_only,
            deliver,
            batch_size=1,
            submit=lambda function: loop.run_in_executor(None, function),
            release=mock.Mock(),
        )
        with pytest.raises(OperationalError):
            await asyncio.wait_for(writer.store(0), 60)
        return [await asyncio.wait_for(writer.store(number), 60) for number in (2, 4)]

    assert asyncio.run(three()) == [(2, True), (4, True)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.sampled_from([1, 2, 500]),
    st.sets(st.integers(0, 30), max_size=3),
)
def test_however_they_meet_each_gets_its_own_outcome(numbers, size, refused):
    store = Store()
    store.refused = refused
    writer = GroupCommit(even_only, store.deliver, batch_size=size)
    outcomes: list[tuple[int, object]] = []

    def request(number: int) -> None:
        try:
            outcomes.append((number, writer.store(number)))
        except (ValueError, DataError) as error:
            outcomes.append((number, type(error)))

    threads = [threading.Thread(target=request, args=[number]) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(number for number, _ in outcomes) == sorted(numbers)
    for number, outcome in outcomes:
        if number % 2:
            assert outcome is ValueError
        elif number in refused:
            assert outcome is DataError
        else:
            assert outcome in {(number, True), (number, False)}
    assert store.stored == {number for number in numbers if number % 2 == 0} - refused

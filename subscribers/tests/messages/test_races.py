"""Real processes that write to one follower at the same moment."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from subscribers.tests.messages.message_racer import prepare, write_to_all

pytestmark = pytest.mark.slow

PROCESSES = 4


def test_of_a_window_no_place_is_taken_twice(race_database):
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.apply(prepare, (race_database,))
        start_at = time.time() + 3
        work = [
            pool.apply_async(write_to_all, (race_database, start_at, 3)) for _ in range(PROCESSES)
        ]
        # Twelve wrote, and a message opens a window for five.
        assert sum(result.get(timeout=60) for result in work) == 5

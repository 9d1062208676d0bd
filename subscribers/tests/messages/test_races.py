"""Real processes that write to one follower at the same moment."""

from __future__ import annotations

import pytest

from subscribers.tests.messages.message_racer import prepare, write_to_all

pytestmark = pytest.mark.slow

PROCESSES = 4


def test_of_a_window_no_place_is_taken_twice(racers, race_database):
    racers.call(prepare, race_database)
    queued = racers.race(write_to_all, [(race_database, 3)] * PROCESSES)
    # Twelve wrote, and a message opens a window for five.
    assert sum(queued) == 5

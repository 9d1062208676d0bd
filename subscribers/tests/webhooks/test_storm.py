"""Nothing is lost and nothing told too early, whatever happens to receivers and workers."""

from __future__ import annotations

import pytest

from subscribers.tests.webhooks.storm import storm

pytestmark = pytest.mark.slow


def test_each_event_arrives_whatever_fails(racers, race_database):
    report = storm(racers, race_database, 300, limit=240)
    assert report.events > 200
    assert report.missing == 0
    assert report.rolled_back_told == 0
    assert report.before_commit == 0
    assert report.after_gone == 0

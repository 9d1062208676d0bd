"""The connections to the platform, which the threads of a process share."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from events.platform import client
from events.wechat.api import Wire

pytestmark = pytest.mark.any_database


def test_threads_that_begin_together_share_the_connections(monkeypatch):
    made = []
    together = Barrier(2)

    class SlowlyMade(Wire):
        def __init__(self, **options: object) -> None:
            made.append(self)
            time.sleep(0.05)
            super().__init__(**options)

    def first_call(_: int) -> Wire:
        together.wait(timeout=10)
        return client.wire()

    client.close_wire()
    monkeypatch.setattr(client, "Wire", SlowlyMade)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(first_call, range(2))
    client.close_wire()
    assert one is other
    assert made == [one]

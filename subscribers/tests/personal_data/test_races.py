"""People are erased while callbacks go on storing what they do."""

from __future__ import annotations

import time

import pytest
from django.db import OperationalError, connection

from events.log.process import process
from events.models import EventLog
from events.testing import make_account, message_xml
from subscribers.models import Erasure, Subscriber
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.state.rebuild import compare
from subscribers.tests.state.racer import post_all

PEOPLE = [f"o{number}" for number in range(6)]
PUSHES, PROCESSES = 120, 4


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_event_is_lost_or_counted_twice_while_people_are_erased(racers):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    account = make_account(mode="plaintext")
    now = int(time.time())
    shares = [
        [
            message_xml(
                ("text", "event.subscribe", "event.CLICK")[number % 3],
                openid=PEOPLE[number % len(PEOPLE)],
                at=now - number // 20,
                MsgId=str(number),
                EventKey=f"w{worker}-{number}",
            )
            for number in range(PUSHES)
        ]
        for worker in range(PROCESSES)
    ]
    # Each text is posted by all processes, everything else by one.
    different = PUSHES // 3 + PROCESSES * (PUSHES - PUSHES // 3)
    database = str(connection.settings_dict["NAME"])
    racing = racers.begin(post_all, [(database, share) for share in shares], with_caller=True)
    erased = 0
    while not all(result.ready() for result in racing):
        for openid in PEOPLE:
            request = request_erasure(account, openid, reason=Erasure.Reason.REQUESTED)
            try:
                erase(request)
            except OperationalError:
                continue  # a lock was waited for too long: the request stays open
            erased += 1
    assert {code for result in racing for code in result.get()} == {200}
    assert erased >= len(PEOPLE)
    for event in EventLog.objects.awaiting_outcome().only_key():
        process(event)
    assert EventLog.objects.count() == different
    assert list(compare()) == []
    assert sum(Subscriber.objects.values_list("event_count", flat=True)) == different

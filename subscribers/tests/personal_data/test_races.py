"""People are erased while callbacks go on storing what they do."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from events.log.process import process
from events.models import EventLog
from events.stats.counting.roll_up import held_progress
from events.testing import make_account, message_xml, push
from subscribers.models import Conversation, Erasure, Subscriber
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.state.rebuild import compare
from subscribers.tests.locks import wait_for_a_lock
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


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_first_event_of_a_person_who_is_being_erased_belongs_to_a_new_follower():
    account = make_account()
    request = request_erasure(account, "oNew", reason=Erasure.Reason.REQUESTED)

    def callback():
        push(account, message_xml("event.subscribe", openid="oNew"))
        connections.close_all()

    def push_after_the_follower_was_looked_for(execute, sql, *arguments):
        found = execute(sql, *arguments)
        if "subscribers_subscriber" in sql and "FOR NO KEY UPDATE" in sql:
            thread = threading.Thread(target=callback)
            thread.start()
            thread.join()
        return found

    with connection.execute_wrapper(push_after_the_follower_was_looked_for):
        erase(request)
    assert EventLog.objects.get().openid == Subscriber.objects.get().openid == "oNew"
    assert list(compare()) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_erasing_waits_for_statistics_that_begin_a_conversation():
    account = make_account()
    push(account, message_xml("text", openid="oWriter"))
    request = request_erasure(account, "oWriter", reason=Erasure.Reason.REQUESTED)
    failed = []

    def run():
        try:
            erase(request)
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    erasure = threading.Thread(target=run)
    with transaction.atomic():
        held_progress()
        erasure.start()
        wait_for_a_lock(erasure)
        Conversation.objects.create(
            account=account,
            subscriber=Subscriber.objects.get(),
            last_at=timezone.now(),
            last_text="my telephone number",
        )
    erasure.join()
    assert failed == []
    assert Conversation.objects.get().last_text == ""

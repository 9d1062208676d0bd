"""People are erased while callbacks go on storing what they do."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from events.log.process import process
from events.models import EventLog, MessageText
from events.stats.counting.roll_up import held_progress
from events.stats.update import update_statistics
from events.testing import make_account, message_xml, push
from events.wechat.api.custom_messages import TextMessage
from subscribers.inbox.keep import note_messages
from subscribers.messages import send
from subscribers.messages.index import index_messages
from subscribers.models import (
    Conversation,
    ConversationNote,
    Erasure,
    OutgoingMessage,
    Subscriber,
)
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.state import rebuild
from subscribers.state.rebuild import compare
from subscribers.tests.locks import InAnotherThread, wait_for_a_lock
from subscribers.tests.state.racer import post_all
from subscribers.tests.webhooks.meanwhile import before_statement
from wechat_site.tests.signin.people import browser_of

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
    erasure = InAnotherThread(lambda: erase(request))
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
    assert erasure.failed == []
    assert Conversation.objects.get().last_text == ""


ANSWER = "Your parcel goes to 5 Elm Street"


@pytest.fixture
def message():
    """A message to a follower who has just written."""
    push(make_account(), message_xml("text", openid="oWriter"))
    update_statistics()
    return send.send_message(Subscriber.objects.get(), TextMessage(ANSWER))


def nothing_is_left():
    assert not MessageText.objects.exists()
    assert Conversation.objects.get().last_text == ""
    assert OutgoingMessage.objects.get().payload == {}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_message_that_is_on_its_way_leaves_no_text_of_who_is_erased_meanwhile(
    message, monkeypatch
):
    request = request_erasure(message.account, "oWriter", reason=Erasure.Reason.REQUESTED)

    def erase_meanwhile(*_message):
        erasure = InAnotherThread(lambda: erase(request))
        erasure.start()
        erasure.join()
        assert erasure.failed == []

    wechat = SimpleNamespace(custom_messages=SimpleNamespace(send=erase_meanwhile))
    monkeypatch.setattr(send, "client_for", lambda _account: wechat)
    assert send.send_next() == 1
    nothing_is_left()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "keep",
    [lambda message: note_messages([message], ANSWER), lambda message: index_messages([message])],
    ids=["inbox", "search"],
)
def test_no_text_of_a_message_is_kept_after_an_erasure_that_ends_meanwhile(message, keep):
    request = request_erasure(message.account, "oWriter", reason=Erasure.Reason.REQUESTED)
    keeping = InAnotherThread(lambda: keep(message))
    with transaction.atomic():
        erase(request)
        keeping.start()
        wait_for_a_lock(keeping)
    keeping.join()
    assert keeping.failed == []
    nothing_is_left()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_colleague_cannot_note_what_concerns_who_is_erased_meanwhile(message):
    request = request_erasure(message.account, "oWriter", reason=Erasure.Reason.REQUESTED)
    browser = browser_of(User.objects.create_superuser("root"))
    page = f"/admin/subscribers/conversation/{Conversation.objects.get().pk}/note/"
    answers = []
    noting = InAnotherThread(lambda: answers.append(browser.post(page, {"text": "Has a dog"})))
    with transaction.atomic():
        erase(request)
        noting.start()
        wait_for_a_lock(noting)
    noting.join()
    assert not ConversationNote.objects.exists()
    assert "was erased" in answers[0].content.decode()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_erasing_waits_for_who_computes_the_state_of_followers_again():
    account = make_account()
    push(account, message_xml("text", openid="oWriter"))
    request = request_erasure(account, "oWriter", reason=Erasure.Reason.REQUESTED)
    erasure = InAnotherThread(lambda: erase(request))
    with transaction.atomic():
        rebuild._hold_carried_over()
        erasure.start()
        wait_for_a_lock(erasure)
        list(Subscriber.objects.select_for_update())
    erasure.join()
    assert erasure.failed == []
    assert not Subscriber.objects.filter(openid="oWriter").exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_erasure_can_be_requested_while_an_earlier_request_is_carried_out():
    account = make_account()
    push(account, message_xml("text", openid="oWriter"))
    earlier = request_erasure(account, "oWriter", reason=Erasure.Reason.UNFOLLOWED)

    def carry_out():
        erasure = InAnotherThread(lambda: erase(earlier))
        erasure.start()
        erasure.join()
        assert erasure.failed == []

    with before_statement('SELECT "subscribers_erasure"', carry_out):
        request = request_erasure(account, "oWriter", reason=Erasure.Reason.REQUESTED)
    assert request != earlier
    assert request.openid == "oWriter"

from __future__ import annotations

import datetime
import io
import time
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from events.callback import reply_runs
from events.delays import EVENT
from events.log import registry
from events.log.process import fold_if_missing, process, process_due, reopen
from events.log.registry import projection, projections_for, reply_handler
from events.log.replies import answers
from events.models import EventLog
from events.testing import make_account, message_xml, push
from events.wechat import TextReply
from subscribers.models import Subscriber

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("state_is_the_fold", "own_registries"),
]


@pytest.fixture
def account():
    return make_account(mode="plaintext")


def make_due() -> None:
    EventLog.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())


class Boom(Exception):
    pass


# --- The registries, as another app uses them --------------------------------------------------


def test_another_apps_projection_and_reply_handler_are_called_with_the_row(account):
    seen: list[EventLog] = []

    @projection("event.view", "event.click")
    def watch(event: EventLog) -> None:
        seen.append(event)

    @reply_handler("event.click", override=True)
    def answer(event: EventLog) -> TextReply:
        return TextReply(f"you pressed {event.event_key}")

    push(account, message_xml("event.VIEW", EventKey="https://x.example/"))
    response = push(account, message_xml("event.CLICK", EventKey="K"))
    assert [event.kind for event in seen] == ["event.view", "event.click"]
    assert b"you pressed K" in response.content
    assert Subscriber.objects.get().event_count == 2


def test_a_projection_for_any_kind_sees_unknown_ones_too(account):
    seen = []
    projection(registry.ANY_KIND)(lambda event: seen.append(event.kind))
    push(account, message_xml("event.brand_new"))
    push(account, message_xml("text", Content="x", MsgId=1))
    assert seen == ["event.brand_new", "text"]


def test_what_is_not_folded_passes_no_projection(account):
    seen = []
    projection(registry.ANY_KIND)(lambda event: seen.append(event.kind))
    push(account, b"<xml")
    push(account, message_xml(to="gh_other"))
    assert seen == []


def test_a_second_handler_must_say_that_it_overrides():
    with pytest.raises(ValueError, match="override=True"):
        reply_handler("event.click")(lambda event: None)
    with pytest.raises(ValueError, match="none to override"):
        reply_handler("event.nothing", override=True)(lambda event: None)
    with pytest.raises(ValueError, match="names the kinds"):
        reply_handler()
    with pytest.raises(ValueError, match="names the kinds"):
        projection()


def test_the_built_in_projections_cannot_be_replaced():
    before = projections_for("event.subscribe")
    projection("event.subscribe")(lambda event: None)
    assert projections_for("event.subscribe")[: len(before)] == before


# --- Projections that fail ---------------------------------------------------------------------


def test_a_failing_projection_leaves_the_row_unfolded_for_the_worker(account):
    broken = True

    @projection("event.subscribe")
    def fails(event: EventLog) -> None:
        if broken:
            raise Boom("no\0good")

    response = push(account, message_xml())
    assert (response.status_code, response.content) == (200, b"success")
    event = EventLog.objects.get()
    assert (event.status, event.folded_at, event.attempts) == ("received", None, 1)
    assert "Boom: nogood" in event.error
    # the other projections of the event are undone with it
    assert not Subscriber.objects.exists()

    assert process_due() == 0  # not yet
    broken = False
    make_due()
    assert process_due() == 1
    event.refresh_from_db()
    assert (event.status, event.error, event.next_attempt_at) == ("processed", "", None)
    assert event.folded_at is not None
    assert Subscriber.objects.get().follow_count == 1
    assert process(event) is None
    assert Subscriber.objects.get().follow_count == 1


def test_a_failing_projection_does_not_disturb_the_next_push(account):
    @projection("event.unsubscribe")
    def fails(event: EventLog) -> None:
        Subscriber.objects.create(nonsense=True)

    push(account, message_xml("event.unsubscribe", at=1767226105))
    push(account, message_xml("event.subscribe", at=1767226106))
    assert Subscriber.objects.get().is_following


def test_a_duplicate_folds_what_the_first_could_not(account):
    broken = True

    @projection("event.subscribe")
    def fails(event: EventLog) -> None:
        if broken:
            raise Boom

    push(account, message_xml(at=1767226105))
    broken = False
    assert not Subscriber.objects.exists()
    push(account, message_xml(at=1767226105))
    assert Subscriber.objects.get().follow_count == 1
    assert EventLog.objects.get().status == "processed"


def test_an_event_is_folded_for_whom_it_is_of_when_it_is_claimed(account):
    broken = True

    @projection("event.click")
    def fails(event: EventLog) -> None:
        if broken:
            raise Boom

    push(account, message_xml("event.CLICK", openid="o1", EventKey="k"))
    broken = False
    rows = EventLog.objects.filter(folded_at=None)

    def while_the_person_is_erased():
        rows.update(openid="erased-1")
        return datetime.datetime.now(datetime.UTC)

    [event] = rows.only_key()
    with mock.patch("events.log.process.timezone.now", while_the_person_is_erased):
        assert fold_if_missing(event)
    assert list(Subscriber.objects.values_list("openid", "event_count")) == [("erased-1", 1)]


def test_an_error_that_no_database_can_write_costs_neither_the_push_nor_its_retries(account):
    @projection("event.click")
    def fails(event: EventLog) -> None:
        raise Boom("half of a pair: \ud83d")

    assert push(account, message_xml("event.CLICK", EventKey="K")).content == b"success"
    event = EventLog.objects.get()
    assert (event.status, event.attempts) == ("received", 1)
    assert "half of a pair" in event.error


# --- Reply handlers that fail ------------------------------------------------------------------


@pytest.fixture
def failing(account):
    """An event whose reply handler failed; entering .works mends the handler."""

    @reply_handler("event.click", override=True)
    def fails(event: EventLog) -> TextReply:
        if not state["works"]:
            raise Boom("handler")
        return TextReply("late")

    state = {"works": False}
    assert push(account, message_xml("event.CLICK", EventKey="K")).content == b"success"
    return state


def test_a_failing_handler_undoes_nothing_and_is_tried_again(account, failing):
    event = EventLog.objects.get()
    assert (event.status, event.attempts, event.reply) == ("failed", 1, "")
    assert "Boom: handler" in event.error
    assert event.folded_at is not None
    assert Subscriber.objects.get().event_count == 1

    failing["works"] = True
    make_due()
    assert process_due() == 1
    event.refresh_from_db()
    assert (event.status, event.error) == ("processed", "")
    assert "late" in event.reply
    assert Subscriber.objects.get().event_count == 1


def test_the_delays_grow_and_the_last_attempt_gives_up(account, failing):
    event = EventLog.objects.get()
    for attempt, delay in enumerate(EVENT, start=1):
        event.refresh_from_db()
        assert event.attempts == attempt
        wait = event.next_attempt_at - timezone.now()
        assert delay - datetime.timedelta(seconds=10) < wait <= delay
        make_due()
        process_due()
    event.refresh_from_db()
    assert (event.status, event.next_attempt_at) == ("dead", None)
    make_due()
    assert process_due() == 0


def test_a_row_at_fault_keeps_no_other_row_waiting(account, failing):
    push(account, message_xml("event.CLICK", EventKey="L"))
    failing["works"] = True
    make_due()
    with mock.patch("events.log.replies.answers.go_late", side_effect=[Boom, None]):
        EventLog.objects.update(received_at=timezone.now() - datetime.timedelta(minutes=1))
        assert process_due() == 1
    waiting, done = EventLog.objects.order_by("status")
    assert (waiting.status, done.status) == ("failed", "processed")
    assert waiting.next_attempt_at > timezone.now()


def test_what_was_given_up_and_answered_after_all_finds_a_way(account, failing):
    EventLog.objects.update(status="dead", attempts=6, next_attempt_at=None, answered_by="none")
    account.late_answers = "next"
    account.save()
    failing["works"] = True
    reopen(EventLog.objects.all())
    EventLog.objects.update(received_at=timezone.now() - datetime.timedelta(minutes=1))
    assert process_due() == 1
    assert EventLog.objects.get().answered_by == "kept"


def test_a_failed_answer_that_is_kept_keeps_the_next_message_not_waiting(account, failing):
    EventLog.objects.update(answered_by="kept")
    account.late_answers = "next"
    account.save()
    failing["works"] = True
    sleepless = mock.Mock(wraps=time, sleep=mock.Mock(side_effect=AssertionError))
    with mock.patch("events.log.replies.reply_ways.time", sleepless):
        response = push(account, message_xml("event.CLICK", EventKey="L", at=1767226109))
    assert "late" in response.content.decode()


@pytest.fixture
def keeps(account):
    """The account keeps late answers, and has one: to a message that the follower sent."""
    account.late_answers = "next"
    account.save()
    reply_handler("text", override=True)(lambda event: TextReply(f"to {event.payload['Content']}"))
    push(account, message_xml("text", Content="first", MsgId=1))
    first = EventLog.objects.filter(msg_id="1")
    first.update(answered_by="kept", answered_at=None)
    return first


def test_a_kept_answer_outlives_a_process_that_is_killed_while_it_hands_it_on(account, keeps):
    second = message_xml("text", Content="second", MsgId=2)
    with (
        mock.patch("events.log.replies.answers._save", side_effect=SystemExit("killed")),
        pytest.raises(SystemExit),
    ):
        push(account, second)
    assert keeps.get().answered_by == "kept"
    reply_runs.runs._by_row.clear()
    EventLog.objects.filter(msg_id="2").update(leased_until=timezone.now())
    answer = push(account, second).content.decode()
    assert "to first" in answer
    assert keeps.get().answered_by == "next"
    third = push(account, message_xml("text", Content="third", MsgId=3)).content.decode()
    assert "to third" in third


def test_a_kept_answer_is_given_once_though_two_messages_ask_for_it(account, keeps):
    ask = answers.kept_for

    def while_another_message_takes_it(row):
        found = ask(row)
        keeps.filter(answered_by="kept").update(answered_by="next")
        return found

    with mock.patch("events.log.replies.answers.kept_for", while_another_message_takes_it):
        answer = push(account, message_xml("text", Content="second", MsgId=2)).content.decode()
    assert "to second" in answer


def test_an_operator_can_try_again_what_was_given_up(account, failing):
    EventLog.objects.update(status="dead", attempts=6, next_attempt_at=None)
    failing["works"] = True
    output = io.StringIO()
    call_command("process_events", "--failed", stdout=output)
    assert "1 processed, 0 failed again" in output.getvalue()
    assert EventLog.objects.get().status == "processed"


def test_processing_by_id_and_what_failed_again(account, failing):
    event = EventLog.objects.get()
    output, errors = io.StringIO(), io.StringIO()
    call_command("process_events", str(event.pk), "999999", stdout=output, stderr=errors)
    assert "0 processed, 1 failed again" in output.getvalue()
    assert "no event 999999" in errors.getvalue()


def test_only_failed_rows_are_reopened(account):
    push(account, message_xml())
    assert reopen(EventLog.objects.all()) == []
    assert EventLog.objects.get().status == "processed"


def test_a_row_that_is_answered_meanwhile_is_not_reopened(account, failing):
    EventLog.objects.update(status="failed")
    atomic = transaction.atomic

    def answered_meanwhile():
        EventLog.objects.update(status="processed", next_attempt_at=None)
        return atomic()

    with mock.patch("events.log.process.transaction.atomic", answered_meanwhile):
        reopen(EventLog.objects.all())
    event = EventLog.objects.get()
    assert (event.status, event.next_attempt_at) == ("processed", None)


# --- Abandoned rows ----------------------------------------------------------------------------


@pytest.fixture
def greeting():
    """A handler that can tell its reply only once the event is stored."""
    reply_handler("event.click", override=True)(lambda event: TextReply("hi"))


def test_a_row_whose_process_died_is_taken_by_the_worker_after_the_retries(account, greeting):
    with (
        mock.patch("events.callback.reply_runs.make_answer", side_effect=SystemExit),
        pytest.raises(SystemExit),
    ):
        push(account, message_xml("event.CLICK", EventKey="K"))
    event = EventLog.objects.get()
    assert event.status == "received"
    assert event.next_attempt_at > timezone.now() + datetime.timedelta(seconds=10)
    assert process_due() == 0
    make_due()
    assert process_due() == 1
    event.refresh_from_db()
    assert (event.status, "hi" in event.reply) == ("processed", True)


def test_stuck_rows_are_processed_on_request(account, greeting):
    with (
        mock.patch("events.callback.reply_runs.make_answer", side_effect=SystemExit),
        pytest.raises(SystemExit),
    ):
        push(account, message_xml("event.CLICK", EventKey="K"))
    make_due()
    output = io.StringIO()
    call_command("process_events", "--stuck", stdout=output)
    assert "1 processed" in output.getvalue()

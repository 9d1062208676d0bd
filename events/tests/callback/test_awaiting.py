"""A push that waits for its reply, step by step in one thread."""

from __future__ import annotations

import time
from unittest import mock
from urllib.parse import urlencode

import pytest
from django.db import OperationalError
from django.utils import timezone

from events.callback import awaiting, receive, reply_runs
from events.callback.awaiting import Awaiting, begin_reply
from events.log.registry import reply_handler
from events.models import EventLog
from events.testing import make_account, message_xml
from events.wechat import SecurityMode, TextReply
from events.wechat.sender import seal_push

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registries", "jobs")]

# One time for all: a push that comes again in the next second must be the same.
AT = int(time.time())


@pytest.fixture
def jobs(monkeypatch):
    """The handlers' jobs, in the order in which they came, for the test to run."""
    taken = []
    pool = mock.Mock(submit=lambda account_id, job: taken.append(job) or True)
    monkeypatch.setattr(reply_runs, "pool", pool)
    monkeypatch.setattr(reply_runs, "connection", mock.Mock(in_atomic_block=False))
    reply_handler("event.click", override=True)(lambda event: TextReply("hi"))
    return taken


@pytest.fixture
def account():
    return make_account(mode="plaintext")


def arrive(account):
    """A push that is stored, and how it waits."""
    now = timezone.now()
    query, body = seal_push(
        message_xml("event.CLICK", EventKey="K", at=AT),
        credentials=account.credentials(now),
        mode=SecurityMode.PLAINTEXT,
        timestamp=int(now.timestamp()),
        nonce="1",
        random=b"r" * 16,
    )
    push = receive.admit(account, account.callback_key, urlencode(query), now=now)
    push.body = body
    arrival = receive.open_push(push)
    (is_new,) = receive.store_pushes([arrival], 2)
    return begin_reply(arrival, is_new)


def test_a_reply_that_is_made_in_time_goes_to_the_connection_that_waits(account, jobs):
    waiting = arrive(account)
    jobs.pop()()
    assert "hi" in waiting.step().body
    assert EventLog.objects.get().answered_by == "reply"


@pytest.mark.parametrize("leaves", ["while it is made", "when it is made"])
def test_a_client_that_has_gone_was_not_answered(account, jobs, leaves):
    waiting = arrive(account)
    assert isinstance(waiting, Awaiting)
    if leaves == "while it is made":
        waiting.leave()
    jobs.pop()()
    if leaves == "when it is made":
        waiting.leave()
    event = EventLog.objects.get()
    assert (event.answered_by, event.answered_at) == ("", None)
    # So it goes out as a message, unless WeChat fetches it before.
    assert event.next_attempt_at > timezone.now()
    assert "hi" in arrive(account).body
    assert EventLog.objects.get().answered_by == "reply"


def test_who_leaves_takes_nothing_back_that_another_connection_has(account, jobs):
    first, second = arrive(account), arrive(account)
    jobs.pop()()
    assert "hi" in second.step().body
    first.leave()
    assert EventLog.objects.get().answered_by == "reply"


def test_a_reply_kept_as_given_is_given_though_the_database_is_busy(account, jobs, monkeypatch):
    waiting = arrive(account)
    jobs.pop()()
    monkeypatch.setattr(awaiting, "hand_over", mock.Mock(side_effect=OperationalError))
    assert "hi" in waiting.step().body
    # The same for a repetition.
    assert "hi" in arrive(account).body


def test_who_joined_a_run_that_found_no_thread_waits_no_longer(account, monkeypatch):
    joined = []

    def no_thread(account_id, job):
        if not joined:
            joined.append(None)
            joined[0] = arrive(account)
        return False

    monkeypatch.setattr(reply_runs.pool, "submit", no_thread)
    assert arrive(account).body == "success"
    assert joined[0].future.done()
    assert joined[0].step().body == "success"
    assert EventLog.objects.get().next_attempt_at <= timezone.now()

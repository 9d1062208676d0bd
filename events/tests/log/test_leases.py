from __future__ import annotations

import threading
import time

import pytest
from django.db import connections

from events.callback.lease_watch import watch
from events.log.registry import reply_handler
from events.log.replies.leases import _renewals, renewed
from events.models import EventLog
from events.testing import make_account, message_xml, push
from events.wechat import TextReply

pytestmark = pytest.mark.usefixtures("own_registries")


@pytest.mark.django_db
def test_a_lease_ends_with_its_reply():
    held = []

    @reply_handler("event.click", override=True)
    def answer(event: EventLog) -> TextReply:
        held.append(dict(_renewals._held))
        return TextReply("hi")

    push(make_account(), message_xml("event.CLICK", EventKey="K"))
    assert len(held[0]) == 1
    assert not _renewals._held
    # A renewal that was about to begin changes the row no more.
    _renewals._renew_all(held[0])
    event = EventLog.objects.get()
    assert (event.lease, event.leased_until, event.next_attempt_at) == ("", None, None)


@pytest.mark.django_db(transaction=True)
def test_threads_that_look_at_leases_close_their_connections(settings, monkeypatch):
    settings.CALLBACK_SECONDS = 0.05
    push(make_account(), message_xml("event.CLICK", EventKey="K"))
    row = EventLog.objects.get()
    row.lease = "mine"
    used = {}

    def noted(work):
        def work_and_note(*arguments):
            done = work(*arguments)
            used[threading.current_thread().name] = connections["default"]
            return done

        return work_and_note

    for thread_of, name in ((_renewals, "_renew_all"), (watch, "_rows_without_lease")):
        monkeypatch.setattr(thread_of, name, noted(getattr(thread_of, name)))
    with renewed(row):
        watch.look_at(row).result(60)
        while "leases" not in used:
            time.sleep(0.01)
    while any(thread.name in used for thread in threading.enumerate()):
        time.sleep(0.01)
    assert {name: wrapper.connection for name, wrapper in used.items()} == {
        "leases": None,
        "watch": None,
    }


@pytest.mark.django_db
def test_a_database_that_is_away_is_logged_once_by_those_who_look_at_leases(monkeypatch, caplog):
    push(make_account(), message_xml("event.CLICK", EventKey="K"))
    row = EventLog.objects.get()
    answers = iter([OSError("away"), OSError("away"), set(), OSError("away"), {row.pk}])

    def look(rows):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(watch, "_rows_without_lease", look)
    assert watch.look_at(row).result(60) is None
    # Once for the first two, and once for the one after it was back.
    assert caplog.text.count("could not be read") == 2

"""What the roll-ups read of the log anew, they find by the people it is of."""

from __future__ import annotations

import datetime
import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from events.models import EventLog
from events.stats.counting.roll_up import roll_up
from events.testing import make_account
from subscribers.stats.counting.intervals import statements_of_log

pytestmark = pytest.mark.django_db

LOG = EventLog._meta.db_table
NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def account():
    """It has 2,000 events of 400 people, minute by minute."""
    account = make_account()
    EventLog.objects.bulk_create(event(account, number) for number in range(2000))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return account


def event(account, number: int) -> EventLog:
    at = NOW - datetime.timedelta(minutes=2000 - number)
    return EventLog(
        account=account, kind=("event.subscribe", "text")[number % 2], openid=f"o{number % 400}",
        event_time=at, received_at=at, last_delivered_at=at, folded_at=at, status="processed",
        dedup_key=str(number), raw=b"",
    )  # fmt: skip


def plans(queries: CaptureQueriesContext) -> list[str]:
    """The plans of the statements that chose events by their people."""
    found = []
    for query in queries.captured_queries:
        if f'FROM "{LOG}"' not in query["sql"] or '"openid" IN (' not in query["sql"]:
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            explain = "EXPLAIN QUERY PLAN"
            if connection.vendor == "postgresql":
                # A small log is quicker read whole; a real one is not.
                cursor.execute("SET LOCAL enable_seqscan = off")
                explain = "EXPLAIN"
            cursor.execute(f"{explain} {query['sql']}")
            found.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
            transaction.set_rollback(True)
    return found


def test_what_was_said_of_a_persons_following(account):
    people = {(account.pk, f"o{number}"): [] for number in range(10)}
    with CaptureQueriesContext(connection) as queries:
        told = statements_of_log(people, counted_to=10**9, frozen_before={})
    assert {person: len(statements) for person, statements in told.items()} == dict.fromkeys(
        people, 5
    )
    (plan,) = plans(queries)
    assert re.search("openid", plan), plan
    assert f"Seq Scan on {LOG}" not in plan


def test_what_a_person_did_beside_an_event_that_came_late(account):
    roll_up()
    late = event(account, 2000)
    late.event_time = NOW - datetime.timedelta(days=3)
    late.save()
    with CaptureQueriesContext(connection) as queries:
        assert roll_up() == 1
    found = plans(queries)
    assert found
    for plan in found:
        assert re.search(r"event_openid|_openid_", plan), plan

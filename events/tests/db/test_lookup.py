"""Rows are found by their keys, as the ORM finds them."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection

from events.db.lookup import Lookup
from events.models import EventLog, StatisticsProgress
from events.testing import make_account

pytestmark = pytest.mark.django_db

AT = datetime.datetime(2026, 11, 1, 12, 30, 0, 123456, tzinfo=datetime.UTC)
COLUMNS = ("id", "openid", "mended", "event_time", "folded_at", "raw", "event_key", "duration_ms")


def store(openid: str, kind: str = "text", **values: object) -> EventLog:
    number = EventLog.objects.count()
    return EventLog.objects.create(
        account=make_account() if not number else EventLog.objects.all()[0].account,
        kind=kind, dedup_key=str(number), openid=openid, event_time=AT, received_at=AT,
        last_delivered_at=AT, status="processed", **values,
    )  # fmt: skip


def test_exactly_the_rows_of_these_keys_are_found():
    one = store("o'1\\", raw=b"<xml/>", mended=True, event_key='{"键", NULL}')
    two = store("o2", folded_at=AT, raw=b"", duration_ms=7)
    other = store("o2", raw=b"")
    store("o2", kind="image", raw=b"")
    store("o3", raw=b"")
    lookup = Lookup(EventLog, key=("openid", "kind"), columns=COLUMNS)
    keys = [("o2", "text"), ("o'1\\", "text"), ("o3", "image"), ("o2", "text"), ("键", "text")]
    found = sorted([*row[:5], bytes(row[5]), *row[6:]] for row in lookup.execute(connection, keys))
    known = EventLog.objects.filter(pk__in=[one.pk, two.pk, other.pk]).order_by("pk")
    assert found == [[*row[:5], bytes(row[5]), *row[6:]] for row in known.values_list(*COLUMNS)]
    assert lookup.execute(connection, []) == []
    assert lookup.execute(connection, iter([("nobody", "text")])) == []


def test_more_keys_than_a_statement_has_parameters():
    StatisticsProgress.objects.create(pk=1, last_id=5)
    lookup = Lookup(StatisticsProgress, key=("id",), columns=("last_id", "turn"))
    (row,) = lookup.execute(connection, ((number,) for number in range(50_000)))
    assert list(row) == [5, 0]

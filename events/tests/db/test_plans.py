"""How the lists find their rows: by an index, in the order they are shown, on both databases.

A few thousand rows stand for millions, so what counts is the plan: it must neither read the whole
log nor sort it. On PostgreSQL, where a small table is rightly read as a whole, sequential scans and
sorts are forbidden as far as they can be; where there is another way the planner then takes it.
"""

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events.db.keyset import RowCursor
from events.db.time_limit import TookTooLong, time_limit
from events.models import ApiKey, EventLog
from events.models.event_log import EventLogQuerySet
from events.people.scopes import READ_SCOPES
from events.testing import make_account
from events.wechat import kind_of

pytestmark = pytest.mark.django_db

LOG = EventLog._meta.db_table
NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
KINDS = ("event.click", "event.view", "text", "event.subscribe")
# The rows of the first hundred are of this kind, and no later ones.
RARE = "event.templatesendjobfinish"


@pytest.fixture
def log():
    """3,000 events of two accounts, minute by minute."""
    accounts = [make_account("shop"), make_account("retired")]

    def event(number: int) -> EventLog:
        kind = RARE if number < 100 else KINDS[number % 4]
        msg_type, _, name = kind.partition(".")
        at = NOW - datetime.timedelta(minutes=3000 - number)
        return EventLog(
            account=accounts[number < 50], kind=kind, msg_type=msg_type, event=name.upper(),
            event_key=f"KEY_{number % 7}", openid=f"o{number % 300}", scene=f"s{number % 40}",
            event_time=at, received_at=at, last_delivered_at=at, dedup_key=f"{number:032x}",
            raw=b"<xml/>", status="dead" if number < 30 else "processed", mended=number < 20,
        )  # fmt: skip

    EventLog.objects.bulk_create(event(number) for number in range(3000))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


@pytest.fixture
def api(db):
    _, key = ApiKey.issue(user=User.objects.create_superuser("analyst"), scopes=list(READ_SCOPES))

    def get(path: str, code: int = 200, **query: object):
        url = path if path.startswith("http") else f"/api/v1/{path}"
        headers = {"Authorization": f"Token {key}", "Accept-Language": "en"}
        response = Client().get(url, query, headers=headers)
        assert response.status_code == code, response.json()
        return response.json()

    return get


def plan_of_the_list(queries: CaptureQueriesContext) -> str:
    """The plan of the statement that fetched the page."""
    of_log = [q["sql"] for q in queries.captured_queries if f'FROM "{LOG}"' in q["sql"]]
    sql = [sql for sql in of_log if "ORDER BY" in sql][-1]
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A partition of a few rows is quicker read whole, or sorted; a real one is not.
            for other in ("bitmapscan", "seqscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{other} = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        lines = [str(row[-1]) for row in cursor.fetchall()]
        # What was set is for this statement alone.
        transaction.set_rollback(True)
    return "\n".join(lines)


def names_of(index: str) -> list[str]:
    """The index and, where the log is partitioned, those of the partitions."""
    if connection.vendor != "postgresql":
        return [index]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
            [index],
        )
        return [index, *(name for (name,) in cursor.fetchall())]


def assert_led_by(plan: str, index: str, *, frequent: bool = False) -> None:
    """The rows come from an index in the order they are shown; on SQLite from this index.

    PostgreSQL has statistics of its own, so on a small log its choice among good indexes varies. A
    walk along the list is good only if it soon meets what it looks for.
    """
    if connection.vendor == "postgresql":
        assert "Index" in plan, plan
        assert frequent or "pkey on events_eventlog" not in plan, plan
    else:
        assert re.search(rf"\b{index}\b", plan), plan
    assert f"Seq Scan on {LOG}" not in plan, plan
    # An incremental sort puts rows of one moment in order, no more.
    assert not re.search(r"(?<!Incremental )\bSort  ?\(", plan), plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan


SECOND = datetime.timedelta(seconds=1)
FREQUENT = [{"account": "shop"}, {"kind": "text"}, {"msg_type": "text"}, {"event": "click"}]
A_DAY = {"event_time_after": "2026-10-30T12:00:00Z", "event_time_before": "2026-10-31T12:00:00Z"}


LED_BY: list[tuple[dict[str, str], str]] = [
    ({"account": "shop"}, "event_account"),
    ({"account": "retired"}, "event_account"),
    ({"kind": "text"}, "event_kind"),
    ({"kind": RARE}, "event_kind"),
    ({"kind": "event.card_sku_remind"}, "event_kind"),
    ({"msg_type": "text"}, "event_kind"),
    ({"msg_type": "link"}, "event_kind"),
    ({"event": "click"}, "event_kind"),
    ({"event_key": "KEY_1"}, "event_key_prefix"),
    ({"scene": "s1"}, "event_scene"),
    ({"openid": "o1"}, "event_openid"),
    ({"status": "dead"}, "event_status"),
    ({"mended": "true"}, "event_mended"),
    ({"event_time_after": "2026-11-01T00:00:00Z"}, "event_by_time"),
    ({"event_time_before": "2020-11-01T00:00:00Z"}, "event_by_time"),
    ({"received_after": "2030-11-01T00:00:00Z"}, "event_by_receipt"),
    ({"received_before": "2026-10-31T00:00:00Z"}, "event_by_receipt"),
    ({"after_id": "0", "kind": RARE}, "event_kind"),
    ({"kind": "text", **A_DAY}, "event_by_time"),
    ({"account": "retired", **A_DAY}, "event_account_time"),
]


@pytest.mark.slow
def test_each_filter_leads_through_its_index_in_the_lists_order(log, api, subtests):
    for query, index in LED_BY:
        with subtests.test(query=query), CaptureQueriesContext(connection) as queries:
            api("events/", **query)
            assert_led_by(plan_of_the_list(queries), index, frequent=query in FREQUENT)


@pytest.mark.parametrize("seconds", [0, 5, 5.001, 7200, None])
def test_late_answers_are_found_by_their_index(log, seconds):
    one = EventLog.objects.earliest("pk")
    one.answered_at = None if seconds is None else one.received_at + SECOND * seconds
    one.save()
    EventLog.objects.exclude(pk=one.pk).update(answered_at=F("received_at") + SECOND)
    with CaptureQueriesContext(connection) as queries:
        found = list(EventLog.objects.answered_late().order_by("-pk"))
    assert found == ([one] if seconds and seconds > 5 else [])
    assert_led_by(plan_of_the_list(queries), "event_answered_late")


def test_an_account_and_a_rare_kind_are_found_by_the_kind(log, api):
    with CaptureQueriesContext(connection) as queries:
        assert len(api("events/", account="shop", kind=RARE)["results"]) == 50
    plan = plan_of_the_list(queries)
    assert any(re.search(rf"\b{name}\b", plan) for name in names_of("event_kind")), plan


def test_a_msg_type_of_many_kinds_walks_along_the_list(log, api, monkeypatch):
    monkeypatch.setattr("events.models.event_log.filters._FEW", 200)
    with CaptureQueriesContext(connection) as queries:
        api("events/", msg_type="event")
    plan = plan_of_the_list(queries)
    assert "USE TEMP B-TREE" not in plan
    assert not re.search(r"\bSort  ?\(", plan), plan


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"event": "scan"}, [2, 1]),
        ({"event": "SCAN"}, [2, 1]),
        ({"event": "bind"}, [4, 3]),
        ({"event": "absent"}, None),
        ({"msg_type": "EVENT"}, [3, 2, 1]),
        ({"msg_type": "event", "event": "bind"}, [3]),
        ({"msg_type": "device_event"}, [4]),
        ({"msg_type": "Text"}, [5]),
        ({"msg_type": "tex"}, None),
    ],
)
@pytest.mark.parametrize("few", [1000, 0])
def test_msg_type_and_event_are_found_in_any_letter_case(api, monkeypatch, query, found, few):
    monkeypatch.setattr("events.models.event_log.filters._FEW", few)
    account = make_account()
    pairs = [
        ("event", "SCAN"), ("event", "scan"), ("event", "bind"), ("device_event", "bind"),
        ("text", ""),
    ]  # fmt: skip
    for number, (msg_type, event) in enumerate(pairs, start=1):
        EventLog.objects.create(
            account=account, kind=kind_of(msg_type, event), msg_type=msg_type, event=event,
            event_time=NOW, received_at=NOW, last_delivered_at=NOW, dedup_key=str(number),
            raw=b"", status="processed", msg_id=str(number),
        )  # fmt: skip
    if found is None:
        api("events/", code=400, **query)
        return
    rows = api("events/", **query)["results"]
    assert [int(row["msg_id"]) for row in rows] == found


def test_the_kinds_that_occur_are_probed_for(log):
    with CaptureQueriesContext(connection) as queries:
        assert EventLog.objects.kinds() == sorted([*KINDS, RARE])
    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {query['sql']}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan" not in plan
            assert any(name in plan for name in names_of("event_kind"))
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = "\n".join(detail for *_numbers, detail in cursor.fetchall())
            assert plan.count(f"SEARCH {LOG} USING COVERING INDEX event_kind") == 2, plan


def test_the_admins_days_are_found_by_their_index(log, operator, subtests):
    for days in ("1", "7", "30"):
        with subtests.test(days=days), CaptureQueriesContext(connection) as queries:
            assert operator.get(reverse("admin:events_eventlog_changelist"), {"days": days})
            assert_led_by(plan_of_the_list(queries), "event_by_time")


# --- Lists in the order of a time ----------------------------------------------------------------


@pytest.fixture
def shuffled():
    """Nine events whose ids, event times and receipts each have another order; three at once."""
    account = make_account()
    return [
        EventLog.objects.create(
            account=account, kind="text", dedup_key=str(number), raw=b"", status="processed",
            event_time=NOW + datetime.timedelta(seconds=max(number * 4 % 9, 2)),
            received_at=NOW + datetime.timedelta(microseconds=number * 7 % 9),
            last_delivered_at=NOW,
        )
        for number in range(9)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "column"), [("event_time_after", "event_time"), ("received_after", "received_at")]
)
def test_a_list_by_a_time_is_walked_down_and_up_without_loss(api, shuffled, name, column):
    expected = [
        event.pk
        for event in sorted(shuffled, key=lambda e: (getattr(e, column), e.pk), reverse=True)
    ]
    pages = [api("events/", page_size=2, **{name: "2026-01-01"})]
    while pages[-1]["next"]:
        pages.append(api(pages[-1]["next"]))
    assert [row["id"] for page in pages for row in page["results"]] == expected
    back = [pages[-1]]
    while back[-1]["previous"]:
        back.append(api(back[-1]["previous"]))
    assert [row["id"] for page in back[::-1] for row in page["results"]] == expected


def test_a_cursor_of_another_order_is_refused(api, shuffled):
    following = api("events/", page_size=2)["next"]
    assert api(f"{following}&event_time_after=2026-01-01", code=404)["detail"]


@pytest.mark.parametrize(
    ("written", "column", "cursor"),
    [
        ("17", None, RowCursor(17)),
        ("0_17", "event_time", RowCursor(17, datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))),
        ("17", "event_time", None),
        ("0_17", None, None),
        ("9" * 18 + "_1", "event_time", None),
        ("x", None, None),
        (None, None, None),
    ],
)
def test_a_cursor_is_read_as_it_was_written(written, column, cursor):
    assert RowCursor.parse(written, column) == cursor
    assert cursor is None or str(cursor) == written


# --- Filters that hardly ever meet ---------------------------------------------------------------


def endless(**_filters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
            "SELECT max(i) FROM n"
        )


def test_reading_ends_at_the_limit_and_all_goes_on(db):
    with pytest.raises(TookTooLong), time_limit(0.1):
        endless()
    assert EventLog.objects.count() == 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_filters_that_take_too_long_together_are_told_so(log, api, operator, monkeypatch):
    # In one transaction with the test the limit would go on. A busy machine reads the rest of the
    # page within it.
    monkeypatch.setattr("events.db.time_limit.SECONDS", 1)
    monkeypatch.setattr(EventLogQuerySet, "with_openid", lambda self, openid: endless())
    answer = api("events/", openid="o1", kind="text", code=400)
    assert "take too long" in answer["detail"]
    page = operator.get(reverse("admin:events_eventlog_changelist"), {"q": "o1"}, follow=True)
    assert page.status_code == 200
    assert "take too long" in page.content.decode()

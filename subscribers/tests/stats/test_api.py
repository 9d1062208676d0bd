"""The statistics API: parameters, rows, CSV, schema, and how often it asks the database."""

from __future__ import annotations

import csv
import datetime
import io

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.log.process import deliver
from events.models import AccountStatistics, ApiKey, EventLog, MenuVersion
from events.stats.counting.rebuild import follow_time_zones
from events.stats.counting.roll_up import roll_up
from events.testing import make_account
from subscribers.models import Binding, OutgoingMessage, QRScene, Subscriber
from subscribers.stats.counting.update import count_changed_people

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 3, 2, 4, tzinfo=datetime.UTC)  # Monday, noon in Shanghai
DAY = datetime.timedelta(days=1)
SPAN = {"account": "shop", "from": "2026-03-02", "to": "2026-03-04"}
ENDPOINTS = [
    *(
        "events",
        "followers",
        "health",
        "hours",
        "menu",
        "messages",
        "people",
        "scenes",
        "summary",
        "top",
    ),
]
NO_INTERVAL = {"hours", "people", "scenes", "summary", "top"}


@pytest.fixture
def account():
    return make_account("shop")


@pytest.fixture
def get(client, account):
    _, key = ApiKey.issue(user=User.objects.create_superuser("analyst"), scopes=["stats:read"])

    def ask(name, *, accept=None, **query):
        headers = {"Authorization": f"Token {key}"} | ({"Accept": accept} if accept else {})
        return client.get(f"/api/v1/stats/{name}/", query or SPAN, headers=headers)

    return ask


@pytest.fixture
def log(account):
    numbers = iter(range(1_000_000))

    def store(kind, at=NOON, openid="o1", *, reply="", waited=0, **columns):
        number = next(numbers)
        received = at + datetime.timedelta(seconds=1)
        event = EventLog(
            account=account, dedup_key=f"{number:032}", kind=kind, openid=openid, event_time=at,
            received_at=received, last_delivered_at=received, raw=b"",
            status="processed", reply=reply,
            answered_by="reply" if reply else "", processed_at=received,
            answered_at=received + datetime.timedelta(milliseconds=waited) if reply else None,
            **columns,
        )  # fmt: skip
        deliver([event])
        return event

    return store


def rows_of(response):
    assert response.status_code == 200, response.content
    assert response.json()["time_zone"] == "Asia/Shanghai"
    return response.json()["results"]


def test_followers_by_day(get, log):
    log("event.subscribe")
    log("event.subscribe", openid="o2")
    log("event.unsubscribe", NOON + DAY)
    log("event.subscribe", NOON + DAY, "o3")
    # Again on the same day, and before midnight in Shanghai.
    log("event.unsubscribe", NOON + DAY + datetime.timedelta(hours=1), "o3")
    log("event.subscribe", NOON + DAY + datetime.timedelta(hours=11), "o3")
    log("import.follower", NOON + 2 * DAY, "o9", source="import", followed_at=NOON)
    roll_up()
    names = ("start", "new", "cancelled", "net", "cumulative", "found_following", "found_gone")
    assert [tuple(row[name] for name in names) for row in rows_of(get("followers"))] == [
        ("2026-03-02T00:00:00+08:00", 2, 0, 2, 3, 0, 0),
        ("2026-03-03T00:00:00+08:00", 1, 2, -1, 3, 0, 0),
        ("2026-03-04T00:00:00+08:00", 0, 0, 0, 3, 1, 0),
    ]
    (week,) = rows_of(get("followers", **SPAN, interval="week"))
    assert (week["start"][:10], week["new"], week["cancelled"]) == ("2026-03-02", 3, 2)
    assert len(rows_of(get("followers", **SPAN, interval="hour"))) == 72
    assert Subscriber.objects.filter(is_following=True).count() == 3


def test_the_period_that_is_not_over_says_so(get, log):
    today = timezone.now().astimezone(datetime.timezone(datetime.timedelta(hours=8))).date()
    span = {"account": "shop", "from": str(today - DAY), "to": str(today)}
    for name in ("followers", "health"):
        assert [row["complete"] for row in rows_of(get(name, **span))] == [True, False]


@pytest.mark.parametrize("is_frozen", [False, True])
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_numbers_by_the_days_of_a_former_time_zone_are_shown(
    get, log, account, interval, is_frozen
):
    for number in range(3):
        for kind in ("event.subscribe", "event.click", "text"):
            log(kind, NOON + number * DAY, event_key="k")
    roll_up()
    if is_frozen:
        AccountStatistics.objects.update(frozen_before=NOON + 9 * DAY)
    # Half an hour off, so that no hour begins as before. The worker has not noticed yet.
    account.time_zone = "Asia/Kolkata"
    account.save()
    span = SPAN | {"from": "2026-02-27", "interval": interval}
    for _time in ("before", "after"):
        for name, column, number in (
            ("events", "events", 9),
            ("followers", "cumulative", 1),
            ("menu", "clicks", 3),
            ("messages", "messages", 3),
        ):
            rows = get(name, **span).json()["results"]
            numbers = [row[column] for row in rows]
            assert (numbers[-1] if column == "cumulative" else sum(numbers)) == number
        assert follow_time_zones() == (_time == "before")


def test_what_arrived_a_moment_ago_is_in_todays_numbers(get, log):
    log("text", timezone.now())
    roll_up()
    today = str(timezone.now().astimezone(datetime.timezone(datetime.timedelta(hours=8))).date())
    (row, _) = rows_of(get("messages", account="shop", **{"from": today, "to": today}))
    assert row["messages"] == 1


def test_events_by_kind_and_by_key(get, log):
    log("event.click", event_key="orders")
    log("event.click", event_key="orders")
    log("event.click", openid="o2", event_key="help")
    log("text", NOON + DAY)
    log("reconcile.follow", source="reconcile")
    roll_up()
    by_kind = {(row["start"][:10], row["kind"]): row for row in rows_of(get("events"))}
    assert len(by_kind) == 6  # zeros included, what WeChat answered left out
    assert by_kind["2026-03-02", "event.click"]["events"] == 3
    assert by_kind["2026-03-02", "event.click"]["people"] == 2
    assert by_kind["2026-03-03", "event.click"]["events"] == 0
    by_key = [row for row in rows_of(get("events", **SPAN, by="key")) if row["events"]]
    assert [(row["key"], row["events"], row["people"]) for row in by_key] == [
        ("help", 1, 1),
        ("orders", 2, 1),
    ]
    some = rows_of(get("events", **SPAN, kind="text,image"))
    assert {row["kind"] for row in some} == {"text"}


def test_menu_entries_have_the_names_that_the_menu_gave_them(get, log, account):
    menu = {"button": [{"type": "click", "name": "我的订单", "key": "orders"}]}
    MenuVersion.objects.create(account=account, menu=menu, published_at=NOON, due_at=None)
    log("event.click", event_key="orders", reply="<xml/>")
    log("event.click", openid="o2", event_key="orders")
    roll_up()
    first, *others = rows_of(get("menu"))
    assert first == {
        "start": "2026-03-02T00:00:00+08:00", "kind": "event.click", "key": "orders",
        "name": "我的订单", "clicks": 2, "clickers": 2, "unanswered": 1, "complete": True,
    }  # fmt: skip
    assert [row["clicks"] for row in others] == [0, 0]


def test_messages_in_and_out(get, log, account):
    log("text", reply="<xml/>", waited=400)
    log("image", reply="<xml/>", waited=600)
    log("text", openid="o2")
    roll_up()
    person = Subscriber.objects.get(openid="o2")
    for state, failure in (("sent", ""), ("sent", ""), ("failed", "request")):
        OutgoingMessage.objects.create(
            account=account, subscriber=person, kind="text", payload={"content": "hello"},
            state=state, due_at=None, sent_at=NOON + DAY, window_until=NOON + 2 * DAY,
            failure=failure,
        )  # fmt: skip
    rows = rows_of(get("messages"))
    assert rows[0] == {
        "start": "2026-03-02T00:00:00+08:00", "direction": "in", "messages": 3, "people": 2,
        "answered": 2, "unanswered": 1, "mean_wait_ms": 500, "complete": True,
    }  # fmt: skip
    out = rows_of(get("messages", **SPAN, direction="out"))
    assert [(row["messages"], row["people"]) for row in out] == [(0, 0), (2, 1), (0, 0)]


def test_what_came_of_each_code(get, log, account):
    now = timezone.now().replace(microsecond=0)
    QRScene.objects.create(account=account, scene="poster", name="Shop window")
    for openid, days in (("o1", 40), ("o2", 40), ("o3", 10)):
        log("event.subscribe", now - days * DAY, openid, scene="poster")
    log("event.unsubscribe", now - 40 * DAY + datetime.timedelta(hours=5), "o1")
    log("event.scan", now - 3 * DAY, "o2", scene="poster")
    log("event.scan", now - 3 * DAY, "o4", scene="elsewhere")
    log("event.scan", now - 3 * DAY, "o4", scene="bind-" + "x" * 32)
    roll_up()
    Binding.objects.create(
        account=account, subscriber=Subscriber.objects.get(openid="o2"), bound_at=now,
        user=User.objects.create_user("alice"), event_id=1, event_time=now,
    )  # fmt: skip
    count_changed_people()
    span = {"account": "shop", "from": str((now - 45 * DAY).date()), "to": str(now.date())}
    poster, elsewhere = rows_of(get("scenes", **span))
    assert poster == {
        "scene": "poster", "name": "Shop window", "scans": 4, "people": 3, "follows": 3,
        "first_followers": 3, "still_following": 2, "bound": 1,
        "retained_1": 2, "due_1": 3, "retained_7": 2, "due_7": 3, "retained_30": 1, "due_30": 2,
    }  # fmt: skip
    assert (elsewhere["scene"], elsewhere["name"], elsewhere["follows"]) == ("elsewhere", "", 0)
    (poster, _) = rows_of(get("scenes", **span, retention_days="2"))
    assert (poster["retained_2"], poster["due_2"]) == (2, 3)
    assert "retained_1" not in poster


def test_the_hours_of_the_week(get, log):
    log("text")
    log("text", NOON + 7 * DAY)
    roll_up()
    rows = rows_of(get("hours", account="shop", **{"from": "2026-03-01", "to": "2026-03-31"}))
    assert len(rows) == 7 * 24
    assert [row for row in rows if row["events"]] == [{"weekday": 1, "hour": 12, "events": 2}]


def test_the_most_active(get, log):
    for openid, number in (("o1", 1), ("o2", 3), ("o3", 2)):
        for place in range(number):
            log("text", NOON + datetime.timedelta(seconds=place), openid)
    log("text", NOON + 30 * DAY, "o1")
    roll_up()
    top = rows_of(get("top", **SPAN, limit=2))
    assert top == [{"openid": "o2", "events": 3}, {"openid": "o3", "events": 2}]
    assert rows_of(get("top", account="shop"))[0] == {"openid": "o2", "events": 3}


def test_the_summary_compares_with_the_days_before(get, log):
    log("event.subscribe", NOON - DAY, "o1")
    log("event.subscribe", NOON, "o2")
    log("event.subscribe", NOON, "o3")
    roll_up()
    rows = {row["measure"]: row for row in rows_of(get("summary"))}
    assert rows["new"] == {"measure": "new", "value": 2, "previous": 1, "difference": 1}
    assert rows["cumulative"]["value"] == 3


def test_health(get, log):
    log("text", reply="<xml/>", waited=3000)
    log("text", reply="<xml/>")
    log("text")
    dead = log("text")
    EventLog.objects.filter(pk=dead.pk).update(status="dead")
    roll_up()
    first = rows_of(get("health"))[0]
    assert (first["received"], first["answered"], first["unanswered"]) == (4, 2, 2)
    assert first["failed"] == 1
    assert (first["within_1s"], first["within_5s"]) == (1, 2)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_csv_has_the_same_rows(get, log, name):
    log("event.click", event_key="orders")
    log("event.subscribe", scene="poster")
    roll_up()
    rows = rows_of(get(name))
    for response in (get(name, **SPAN, format="csv"), get(name, accept="text/csv")):
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        read = list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))
        assert [dict(row) for row in read] == [
            {name: _in_csv(value) for name, value in row.items()} for row in rows
        ]


def _in_csv(value):
    return (
        {None: "", True: "true", False: "false"}.get(value, str(value))
        if (value is None or isinstance(value, bool))
        else str(value)
    )


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account": "nope"}, "account"),
        ({"account": ""}, "account"),
        ({"account": "a\0"}, "account"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "20260301"}, "from"),
        ({"from": "2021-01-01"}, "to"),
        ({"to": "2026-03-01"}, "to"),
        ({"intervall": "day"}, "intervall"),
    ],
)
def test_a_wrong_parameter_is_400_with_a_sentence(get, name, change, field):
    for accept in ("application/json", "text/csv"):
        response = get(name, accept=accept, **(SPAN | change))
        assert response.status_code == 400
        assert list(response.json()["errors"]) == [field]


@pytest.mark.parametrize("name", sorted(set(ENDPOINTS) - NO_INTERVAL))
def test_the_interval_is_one_of_four(get, name):
    assert get(name, **SPAN, interval="year").status_code == 400
    for interval in ("hour", "day", "week", "month"):
        assert get(name, **SPAN, interval=interval).status_code == 200


def test_a_key_needs_the_scope(client, account):
    _, key = ApiKey.issue(user=User.objects.create_superuser("other"), scopes=["events:read"])
    for name in ENDPOINTS:
        response = client.get(
            f"/api/v1/stats/{name}/", SPAN, headers={"Authorization": f"Token {key}"}
        )
        assert response.status_code == 403


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_number_of_queries_does_not_depend_on_the_rows(get, log, name):
    log("event.click", event_key="k0")
    log("event.subscribe", scene="s0")
    roll_up()
    get(name)  # notes that the key was used

    def queries(**span):
        with CaptureQueriesContext(connection) as captured:
            assert get(name, **(SPAN | span)).status_code == 200
        return len(captured)

    before = queries()
    for number in range(12):
        log("event.click", NOON + number * DAY, f"o{number}", event_key=f"k{number}")
        log("event.subscribe", NOON + number * DAY, f"o{number}", scene=f"s{number}")
    roll_up()
    assert queries(to="2026-04-30") == before

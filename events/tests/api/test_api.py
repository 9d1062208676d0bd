from __future__ import annotations

import datetime
import gzip
import io
import json
import threading
import time

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from events.binding_scenes import MASK, new_binding_scene
from events.models import ApiKey, EventLog, OfficialAccount
from events.people.scopes import READ_SCOPES, WRITE_SCOPES
from events.testing import make_account

pytestmark = pytest.mark.django_db

START = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def account():
    return make_account(mode="plaintext")


@pytest.fixture
def user():
    return User.objects.create_superuser("analyst")


@pytest.fixture
def api(client, user):
    """GETs a path below /api/v1/ with a key of all read scopes."""
    _, key = ApiKey.issue(user=user, scopes=list(READ_SCOPES))

    def get(path: str, **query: object):
        return client.get(
            path if path.startswith("http") else f"/api/v1/{path}",
            query,
            headers={"Authorization": f"Token {key}"},
        )

    return get


def store(account: OfficialAccount, number: int, **columns: object) -> EventLog:
    defaults = {
        "kind": "event.click",
        "msg_type": "event",
        "event": "CLICK",
        "event_key": "MENU",
        "openid": "o1",
        "event_time": START + datetime.timedelta(seconds=number),
        "received_at": START + datetime.timedelta(seconds=number),
        "last_delivered_at": START,
        "dedup_key": f"{number:032x}",
        "raw": f"<xml><EventKey>{number}</EventKey></xml>".encode(),
        "status": "processed",
    }
    return EventLog.objects.create(account=account, **(defaults | columns))


def test_an_event_has_exactly_the_documented_fields(api, account):
    event = store(account, 1, event_time=START)
    (row,) = api("events/").json()["results"]
    assert list(row) == [
        "id", "account", "source", "kind", "msg_type", "event", "event_key", "scene", "ticket",
        "msg_id", "openid", "event_time", "received_at", "delivery_count", "status", "error",
        "mended", "payload",
    ]  # fmt: skip
    assert row["event_time"] == "2026-11-01T12:00:00Z"
    assert (row["id"], row["account"], row["payload"]) == (event.pk, "shop", {"EventKey": "1"})
    detail = api(f"events/{event.pk}/").json()
    assert detail == row | {
        "raw": "<xml><EventKey>1</EventKey></xml>",
        "reply": "",
        "answered_at": None,
        "answered_by": "",
        "is_cut": False,
    }


def test_pages_are_newest_first_and_rows_that_arrive_move_nothing(api, account):
    ids = [store(account, number).pk for number in range(5)]
    first = api("events/", page_size=2).json()
    assert [row["id"] for row in first["results"]] == [ids[4], ids[3]]
    store(account, 9)
    second = api(first["next"]).json()
    assert [row["id"] for row in second["results"]] == [ids[2], ids[1]]
    assert [row["id"] for row in api(second["next"]).json()["results"]] == [ids[0]]


@pytest.mark.parametrize("column", ["id", "event_time", "received_at"])
def test_a_list_is_walked_in_either_order(api, account, column):
    rows = [store(account, 7 * number % 5) for number in range(5)]
    ascending = [row.pk for row in sorted(rows, key=lambda row: (getattr(row, column), row.pk))]

    def walk(link, **query):
        while link:
            page = api(link, **query).json()
            yield page
            link, query = page["next"], {}

    for ordering, expected in ((column, ascending), (f"-{column}", ascending[::-1])):
        pages = list(walk("events/", ordering=ordering, page_size=2))
        assert [row["id"] for page in pages for row in page["results"]] == expected
        before = api(pages[-1]["previous"]).json()
        assert before["results"] == pages[-2]["results"]
        assert pages[0]["previous"] is None
    assert api("events/", ordering="id", event_time_after="2026-01-01").status_code == 400
    assert api("events/", ordering="id", after_id=0).status_code == 400


def test_an_answer_is_sent_once_and_compressed(client, account, user):
    _, key = ApiKey.issue(user=user, scopes=["events:read"])
    for number in range(20):
        store(account, number)

    def get(**headers):
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        return client.get("/api/v1/events/", headers={"Authorization": f"Token {key}", **given})

    plain = get()
    packed = get(Accept_Encoding="gzip")
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) < len(plain.content) / 4
    assert packed["ETag"] == plain["ETag"]
    refused = get(Accept_Encoding="gzip;q=0")
    assert refused.content == plain.content
    assert plain["Vary"] == refused["Vary"] == packed["Vary"]
    unchanged = get(If_None_Match=plain["ETag"], Accept_Encoding="gzip")
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    store(account, 99)
    assert get(If_None_Match=plain["ETag"]).status_code == 200


def test_a_page_costs_a_constant_number_of_statements(api, account, django_assert_num_queries):
    for number in range(30):
        store(account, number)
    ApiKey.objects.update(last_used_at=timezone.now(), last_used_from="127.0.0.1")
    api("events/")  # notes in the audit list that the key looks
    with django_assert_num_queries(2) as queries:
        assert len(api("events/").json()["results"]) == 30
    assert not [q for q in queries.captured_queries if "COUNT" in q["sql"] or "OFFSET" in q["sql"]]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"account": "shop"}, {1, 2, 3}),
        ({"kind": "text"}, {2}),
        ({"kind": "text,event.click,event.click"}, {1, 2, 3}),
        ({"status": "failed,dead"}, {1}),
        ({"status": "failed,processed"}, {1, 2, 3}),
        ({"source": "callback"}, {1, 2, 3}),
        ({"source": "import,reconcile"}, set()),
        ({"source": "import,callback"}, {1, 2, 3}),
        ({"msg_type": "event"}, {1, 3}),
        ({"event": "CLICK"}, {1, 3}),
        ({"event_key": "https://x.example/?a=1&b=" + "z" * 300}, {3}),
        ({"event_key": "https://x.example/?a=1&b=" + "z" * 299}, set()),
        ({"scene": "poster"}, {2}),
        ({"openid": "o3"}, {3}),
        ({"status": "failed"}, {1}),
        ({"status": "processed"}, {2, 3}),
        ({"event_time_after": "2026-11-01T12:00:02Z"}, {2, 3}),
        ({"event_time_before": "2026-11-01T20:00:02+08:00"}, {1}),
        ({"received_after": "2026-11-01T12:00:03"}, {3}),
        ({"received_before": "2026-11-01T12:00:03"}, {1, 2}),
        ({"kind": "event.click", "openid": "o1"}, {1}),
    ],
)
def test_each_filter(api, account, query, numbers):
    rows = {
        1: store(account, 1, status="failed"),
        2: store(account, 2, kind="text", msg_type="text", event="", scene="poster"),
        3: store(account, 3, openid="o3", event_key="https://x.example/?a=1&b=" + "z" * 300),
    }
    found = {row["id"] for row in api("events/", **query).json()["results"]}
    assert found == {rows[number].pk for number in numbers}


@pytest.mark.parametrize(
    "query",
    [
        {"opneid": "o1"},
        {"status": "sleeping"},
        {"status": "failed,sleeping"},
        {"kind": "text,"},
        {"source": "push"},
        {"account": "nope"},
        {"account": "nope,nothing"},
        {"ordering": "openid"},
        {"ordering": ""},
        {"event_time_after": "yesterday"},
        {"event_time_after": "9999-12-31T23:59:59-10:00"},
        {"page_size": "0"},
        {"page_size": "1001"},
        {"page_size": "ten"},
        {"after_id": "x"},
        {"after_id": "-1"},
        {"after_id": "9" * 40},
        {"after_id": "1.5"},
        {"after_id": " 3 "},
        {"after_id": "٣"},
        {"after_id": ""},
        {"openid": ""},
        {"status": ""},
        {"openid": "a\0b"},
    ],
)
def test_what_cannot_be_understood_is_400_and_names_the_parameter(api, query):
    response = api("events/", **query)
    assert response.status_code == 400
    assert list(response.json()["errors"]) == list(query)


def test_an_unknown_or_broken_cursor_is_not_a_server_error(api):
    for cursor in ("%%%", "cD01Jm89NQ==", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "cD1hYmM=", "\0"):
        assert api("events/", cursor=cursor).status_code < 500


def test_no_pending_binding_code_is_shown_anywhere(api, account):
    scene, ticket = new_binding_scene(), "gQTicketOfThePendingCode"
    body = f"<xml><EventKey>{scene}</EventKey><Ticket>{ticket}</Ticket></xml>".encode()
    scan = store(
        account, 1, kind="event.scan", event="SCAN", event_key=scene, scene=scene, ticket=ticket,
        raw=body, error=f"ValueError: {scene}", reply=f"<xml>{scene}</xml>",
    )  # fmt: skip
    broken = store(account, 2, status="unreadable", event_key="", raw=body.replace(b"</xml>", b""))
    cut = store(account, 3, status="unreadable", event_key="", raw=body[:-20])
    for response in [api("events/")] + [api(f"events/{e.pk}/") for e in (scan, broken, cut)]:
        assert scene not in response.content.decode()
        assert ticket not in response.content.decode()
    shown = api(f"events/{scan.pk}/").json()
    assert ticket not in json.dumps(shown)
    assert (shown["scene"], shown["payload"]["EventKey"]) == (MASK, MASK)


def test_undecodable_bytes_are_replaced(api, account):
    event = store(account, 1, raw=b"\xff<xml>", status="unreadable")
    detail = api(f"events/{event.pk}/").json()
    assert (detail["raw"], detail["payload"]) == ("\ufffd<xml>", None)


def test_after_id_walks_up_and_keeps_its_place(api, account):
    ids = [store(account, number).pk for number in range(5)]
    page = api("events/", after_id=0, page_size=3).json()
    assert [row["id"] for row in page["results"]] == ids[:3]
    page = api(page["next"]).json()
    assert [row["id"] for row in page["results"]] == ids[3:]
    page = api(page["next"]).json()
    assert page["results"] == []
    later = store(account, 9)
    assert [row["id"] for row in api(page["next"]).json()["results"]] == [later.pk]


def test_after_id_keeps_the_other_filters(api, account):
    store(account, 1)
    text = store(account, 2, kind="text")
    page = api("events/", after_id=0, kind="text").json()
    assert [row["id"] for row in page["results"]] == [text.pk]
    assert "kind=text" in page["next"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_after_id_skips_nothing_while_transactions_commit_out_of_order(account, user):
    if connection.vendor != "postgresql":
        pytest.skip("ids commit in order on SQLite, which has one writer at a time")
    from django.test import Client

    _, key = ApiKey.issue(user=user, scopes=["events:read"])
    done = threading.Event()
    written: list[int] = []

    def write(writer: int) -> None:
        for number in range(25):
            with transaction.atomic():
                event = store(account, writer * 1000 + number)
                # the later writers commit sooner than the earlier ones
                time.sleep(0.002 * ((writer * 7 + number * 3) % 5))
            written.append(event.pk)
        connection.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()

    seen: list[int] = []
    url = "/api/v1/events/?after_id=0"
    client = Client()
    while True:
        finished = done.is_set()
        page = client.get(url, headers={"Authorization": f"Token {key}"}).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
        if finished and not page["results"]:
            break
        if not any(writer.is_alive() for writer in writers):
            done.set()
    assert seen == sorted(written)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_after_id_waits_no_longer_than_its_limit(api, account, monkeypatch):
    if connection.vendor != "postgresql":
        pytest.skip("nothing to wait for on SQLite")
    monkeypatch.setattr("events.log.settled._WAIT", 0.1)
    first = store(account, 1)
    begun, release = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            store(account, 2)
            begun.set()
            assert release.wait(120)
        connection.close()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert begun.wait(120)
    page = api("events/", after_id=0).json()
    release.set()
    writer.join()
    assert page["results"] == []
    results = api(page["next"]).json()["results"]
    assert [row["id"] for row in results] == sorted(EventLog.objects.values_list("pk", flat=True))
    assert results[0]["id"] == first.pk


def test_after_id_passes_over_what_a_filter_leaves_out(api, account):
    rows = [store(account, number) for number in range(3)]
    page = api("events/", after_id=0, kind="text").json()
    assert page["results"] == []
    assert f"after_id={rows[-1].pk}" in page["next"]


def test_a_parameter_that_does_nothing_is_400_on_every_list_and_detail(api, account):
    event = store(account, 1)
    for path in ("accounts/", "accounts/shop/", f"events/{event.pk}/"):
        assert api(path, openid="x").status_code == 400


def test_accounts_show_no_secret(api, account):
    (row,) = api("accounts/").json()["results"]
    assert list(row) == [
        "slug", "name", "original_id", "app_id", "security_mode", "time_zone", "is_active",
        "created_at",
    ]  # fmt: skip
    assert api("accounts/shop/").json() == row
    text = api("accounts/").content.decode()
    assert account.token not in text
    assert account.callback_key not in text


# --- Keys --------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_answered(client):
    response = client.get("/api/v1/events/")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Token", "Token wrong", "Token a b", "Token \xff\xfe"])
def test_a_wrong_key_is_401(client, header):
    response = client.get("/api/v1/events/", headers={"Authorization": header})
    assert response.status_code == 401


def test_a_revoked_key_and_one_of_an_inactive_user_are_401(client, user):
    made, key = ApiKey.issue(user=user, scopes=["events:read"])
    headers = {"Authorization": f"Token {key}"}
    assert client.get("/api/v1/events/", headers=headers).status_code == 200
    User.objects.update(is_active=False)
    assert client.get("/api/v1/events/", headers=headers).status_code == 401
    User.objects.update(is_active=True)
    made.revoked_at = timezone.now()
    made.save()
    assert client.get("/api/v1/events/", headers=headers).status_code == 401


def test_a_key_opens_its_scopes_alone(client, user):
    _, key = ApiKey.issue(user=user, scopes=["events:read"])
    headers = {"Authorization": f"Token {key}"}
    response = client.get("/api/v1/accounts/", headers=headers)
    assert response.status_code == 403
    assert "accounts:read" in response.json()["detail"]
    assert client.post("/api/v1/events/", headers=headers).status_code == 405
    assert client.delete("/api/v1/accounts/shop/", headers=headers).status_code in {403, 405}


def test_the_use_of_a_key_is_noted(client, user):
    made, key = ApiKey.issue(user=user, scopes=["events:read"])
    client.get("/api/v1/events/", headers={"Authorization": f"Token {key}"})
    made.refresh_from_db()
    assert made.last_used_at is not None


def test_the_database_holds_no_key(user):
    _, key = ApiKey.issue(user=user, scopes=["events:read"])
    assert key not in str(ApiKey.objects.values())


def create_key(*arguments: str) -> str:
    output = io.StringIO()
    call_command("create_api_key", *arguments, stdout=output)
    return output.getvalue().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "scopes"),
    [
        ([], set(READ_SCOPES)),
        (["--scope", "read"], set(READ_SCOPES)),
        (["--scope", "events:read", "accounts:read"], {"events:read", "accounts:read"}),
        (["--scope", "events:read", "--scope", "write"], {"events:read", *WRITE_SCOPES}),
    ],
)
def test_the_command_prints_a_key_that_works_with_its_scopes(client, user, arguments, scopes):
    key = create_key("analyst", *arguments)
    assert set(ApiKey.objects.get().scopes) == scopes
    response = client.get("/api/v1/events/", headers={"Authorization": f"Token {key}"})
    assert response.status_code == 200


def test_the_command_refuses_unknown_users_and_scopes(user):
    with pytest.raises(CommandError, match="no user 'nobody'"):
        create_key("nobody")
    with pytest.raises(CommandError, match="no scope 'all'"):
        create_key("analyst", "--scope", "all")
    assert not User.objects.filter(username="nobody").exists()


# --- Schema ------------------------------------------------------------------------------------


def test_the_schema_is_valid_and_the_docs_page_loads_nothing_from_outside(client):
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())
    page = client.get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page.replace("https://swagger.io", "")


def test_the_schema_is_english_and_describes_parameters_and_refusals(client):
    answers = [
        client.get("/api/schema/", {"format": "json"}, headers={"Accept-Language": language})
        for language in ("zh-CN", "en")
    ]
    assert answers[0].content == answers[1].content
    paths = answers[0].json()["paths"]
    listed = paths["/api/v1/events/"]["get"]
    parameters = {each["name"]: each for each in listed["parameters"]}
    status = parameters["status"]
    assert (status["explode"], status["schema"]["type"]) == (False, "array")
    assert "failed" in status["schema"]["items"]["enum"]
    assert "-event_time" in parameters["ordering"]["schema"]["enum"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            refusal = operation["responses"]["401"]["content"]["application/problem+json"]
            assert refusal["examples"]["not_authenticated"]["value"]["status"] == 401, path
            names = {each["name"] for each in operation.get("parameters", [])}
            assert ("Idempotency-Key" in names) == (method == "post"), path


def test_times_are_utc(api, account):
    store(account, 1)
    row = api("events/").json()["results"][0]
    assert parse_datetime(row["received_at"]).utcoffset() == datetime.timedelta(0)

"""Exports: the rows of the lists, whole, in bounded portions."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json

import pytest
from django.contrib.auth.models import User

from events.db import keyset
from events.log.process import deliver
from events.models import ApiKey, EventLog
from events.testing import make_account

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC)


@pytest.fixture
def api(client):
    _, key = ApiKey.issue(
        user=User.objects.create_superuser("analyst"), scopes=["events:read", "subscribers:read"]
    )

    def get(path, *, encoding="", **query):
        headers = {"Authorization": f"Token {key}", "Accept-Encoding": encoding}
        return client.get(f"/api/v1/{path}/", query, headers=headers)

    return get


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(keyset, "_PORTION", 3)
    account = make_account("shop")
    for number in range(10):
        # Arrived in another order than they happened.
        at = NOON + datetime.timedelta(seconds=number * 7 % 10)
        event = EventLog(
            account=account, dedup_key=f"{number:032}", kind="event.subscribe", openid=f"o{number}",
            scene="bind-" + "x" * 32 if number == 4 else "", event_time=at, received_at=NOON,
            last_delivered_at=NOON, raw=b"<xml><A>1</A></xml>", status="processed",
        )  # fmt: skip
        deliver([event])


def lines(response):
    assert response.status_code == 200
    return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]


@pytest.mark.parametrize("path", ["events", "subscribers"])
def test_an_export_has_the_rows_of_the_list_oldest_first(api, log, path):
    listed = api(path).json()["results"]
    assert len(listed) == 10
    response = api(f"{path}/export")
    assert response["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert lines(response) == listed[::-1]


def test_an_export_takes_the_filters_of_the_list_and_their_order(api, log):
    after = (NOON + datetime.timedelta(seconds=3)).isoformat()
    listed = api("events", event_time_after=after).json()["results"]
    assert len(listed) == 7
    assert lines(api("events/export", event_time_after=after)) == listed[::-1]
    assert lines(api("events/export", openid="o3"))[0]["openid"] == "o3"
    assert lines(api("events/export", openid="nobody")) == []


def test_csv_and_gzip(api, log):
    response = api("events/export", format="csv", encoding="gzip")
    assert response["Content-Encoding"] == "gzip"
    text = gzip.decompress(b"".join(response.streaming_content)).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["openid"] for row in rows] == [f"o{number}" for number in range(10)]
    assert rows[0]["payload"] == '{"A":"1"}'
    assert "bind-x" not in text


@pytest.mark.parametrize(
    "query", [{"cursor": "x"}, {"page_size": "5"}, {"nope": "1"}, {"account": "nope"}]
)
def test_what_an_export_does_not_know_is_400(api, log, query):
    assert api("events/export", **query).status_code == 400


def test_a_repeated_parameter_and_an_unknown_account_are_400(client, api, log):
    assert api("events", kind=["a", "b"]).status_code == 400
    refused = api("events", account="nope")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["account"])


def test_several_kinds_and_the_bearer_form_of_the_key(client, api, log):
    assert len(api("events", kind="text,event.subscribe").json()["results"]) == 10
    assert api("events", kind="text,image").json()["results"] == []
    _, key = ApiKey.issue(user=User.objects.create_superuser("other"), scopes=["events:read"])
    for keyword in ("Bearer", "bearer", "Token"):
        response = client.get("/api/v1/events/", headers={"Authorization": f"{keyword} {key}"})
        assert response.status_code == 200
    response = client.get("/api/v1/events/", headers={"Authorization": f"Basic {key}"})
    assert response.status_code == 401

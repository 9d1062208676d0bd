"""Exports: the rows of the lists, whole, in bounded portions."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from events.db import keyset
from events.log.process import deliver
from events.models import ApiKey, EventLog
from events.testing import make_account
from subscribers.models import Binding, FollowerTag, Subscriber

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
    refused = api("events/export", format="csv", encoding="gzip;q=0")
    assert "Content-Encoding" not in refused
    assert b"".join(refused.streaming_content).decode() == text


OPENID, OTHER = "oT3xk5QmPv9Wd2Lr8Ns4Jc7Hb1Ya", "oT3xk5QmZz8Rf4Kp2Mx6Vq0Tn5Ge"
SCENE = "bind-" + "Ab3_" * 8
# Rows that an export takes by its quick way, and others.
LOG = [
    {"raw": "<xml><FromUserName><![CDATA[%s]]></FromUserName><Content>一二 =3</Content></xml>"},
    {"raw": "<xml><MsgType>event</MsgType><EventKey>to %s</EventKey></xml>", "event_key": "=1+1"},
    {"raw": "<xml><PicList>one</PicList><A>%s</A></xml>", "event_key": f"of {OPENID}"},
    {"raw": "<xml><A>1</A><A>%s</A></xml>"},
    {"raw": "<xml><Content>A7KD-9QXT</Content></xml>", "kind": "text"},
    {"raw": "<xml><Content>A7KD-9QXT</Content></xml>", "kind": "text", "received_at": NOON},
    {"raw": f"<xml><EventKey>{SCENE}</EventKey><Ticket>gQ</Ticket></xml>", "scene": SCENE,
     "ticket": "gQ", "event_key": SCENE},
    {"raw": f"<xml><EventKey>&#98;{SCENE[1:]}</EventKey></xml>"},
    {"raw": "", "event_key": SCENE, "scene": SCENE, "ticket": "gQ"},
    {"raw": "", "event_key": "MENU", "scene": "poster", "ticket": "gQ"},
    {"raw": "<xml><A>]]></A><FromUserName>%s</FromUserName></xml>", "mended": True},
    {"raw": "not XML %s", "status": "unreadable"},
    {"raw": "<xml><ScanCodeInfo><ScanResult>%s</ScanResult></ScanCodeInfo></xml>"},
    {"raw": "<xml><A>1</A></xml>", "status": "dead", "error": f"no {OPENID}"},
    {"raw": f"<xml><OpenID>{OTHER}</OpenID><A>{OPENID}</A></xml>", "openid": OTHER},
    {"raw": "<xml><A>1</A></xml>", "openid": "", "from_user": ""},
]  # fmt: skip
RIGHTS = ("view_openids_in_clear", "view_message_contents", "view_binding")


@pytest.mark.parametrize("rights", [(), RIGHTS[:1], RIGHTS[1:2], RIGHTS])
def test_an_export_shows_of_any_row_what_the_list_shows_of_it(client, rights):
    account = make_account("shop")
    now = timezone.now()
    for number, row in enumerate(LOG):
        raw = row["raw"].replace("%s", OPENID).encode()
        EventLog.objects.create(
            **{"account": account, "dedup_key": f"{number:032}", "kind": "event.click",
               "openid": OPENID, "from_user": OPENID, "event_time": NOON, "received_at": now,
               "last_delivered_at": now, "status": "processed"} | row | {"raw": raw}
        )  # fmt: skip
    FollowerTag.objects.create(account=account, number=2, name="regulars")
    bound, _ = (
        Subscriber.objects.create(account=account, openid=openid, updated_at=now, **values)
        for openid, values in (
            (OPENID, {"tag_ids": "2,7", "unionid": "u" * 20, "last_followed_at": NOON}),
            (OTHER, {"last_unfollowed_at": now}),
        )
    )
    user = User.objects.create_user("analyst")
    Binding.objects.create(
        account=account, subscriber=bound, user=user, bound_at=now, event_id=1, event_time=now
    )
    names = ("view_eventlog", "view_subscriber", *rights)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    scopes = ["events:read", "subscribers:read"]
    headers = {"Authorization": f"Token {ApiKey.issue(user=user, scopes=scopes)[1]}"}
    for path in ("events", "subscribers"):
        listed = client.get(f"/api/v1/{path}/", headers=headers).json()["results"]
        assert len(listed) == (len(LOG) if path == "events" else 2)
        assert lines(client.get(f"/api/v1/{path}/export/", headers=headers)) == listed[::-1]


@pytest.mark.parametrize("name", ["updated_after", "followed_after"])
def test_followers_since_a_time_are_exported_in_portions_too(api, log, name):
    Subscriber.objects.filter(openid="o3").update(updated_at=NOON + datetime.timedelta(hours=2))
    listed = api("subscribers", **{name: NOON.isoformat()}).json()["results"]
    exported = lines(api("subscribers/export", **{name: NOON.isoformat()}))
    assert len(exported) > 3
    assert exported == listed[::-1]


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

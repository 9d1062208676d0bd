"""Filters of the lists that have their rows from events: times, persons, several values."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User

from events.models import ApiKey
from events.people.scopes import READ_SCOPES
from events.testing import make_account
from subscribers.models import Binding, OutgoingMessage, QRScene, Subscriber

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def get(client):
    _, key = ApiKey.issue(user=User.objects.create_superuser("reader"), scopes=list(READ_SCOPES))

    def get(name, **query):
        return client.get(f"/api/v1/{name}/", query, headers={"Authorization": f"Token {key}"})

    return get


@pytest.fixture
def rows():
    """Two of each: the first at noon in `shop`, the second an hour later in `other`."""
    for number, slug in enumerate(["shop", "other"]):
        account = make_account(slug, original_id=f"gh_{number}", app_id=f"wx{number}")
        at = NOON + number * HOUR
        follower = Subscriber.objects.create(
            account=account, openid=f"o{number}", unionid=f"u{number}", updated_at=at
        )
        Binding.objects.create(
            account=account, subscriber=follower, user=User.objects.create_user(slug), bound_at=at,
            unbound_at=at + HOUR if number else None, event_id=number, event_time=at,
        )  # fmt: skip
        OutgoingMessage.objects.create(
            account=account, subscriber=follower, kind="text", payload={"content": "x"},
            window_until=at, created_at=at, state="failed" if number else "queued",
            failure="x" if number else "", due_at=None if number else at,
        )  # fmt: skip
        QRScene.objects.create(
            account=account, scene=slug, name=slug, due_at=None, failure="x" if number else ""
        )


@pytest.mark.parametrize(
    ("name", "query", "accounts"),
    [
        ("subscribers", {"unionid": "u1"}, ["other"]),
        ("subscribers", {"account": "shop,other"}, ["other", "shop"]),
        ("bindings", {"bound_after": "2026-11-01T12:30:00Z"}, ["other"]),
        ("bindings", {"bound_before": "2026-11-01T12:30:00Z"}, ["shop"]),
        ("bindings", {"unbound_after": "2026-11-01T13:30:00Z"}, ["other"]),
        ("bindings", {"unbound_before": "2026-11-01T13:30:00Z"}, []),
        ("bindings", {"bound_after": "2026-01-01", "ordering": "bound_at"}, ["shop", "other"]),
        ("messages", {"created_after": "2026-11-01T12:30:00Z"}, ["other"]),
        ("messages", {"created_before": "2026-11-01T12:30:00Z"}, ["shop"]),
        ("messages", {"state": "queued,failed"}, ["other", "shop"]),
        ("messages", {"ordering": "created_at"}, ["shop", "other"]),
        ("scenes", {"state": "failed,elsewhere"}, ["other", "shop"]),
        ("scenes", {"state": "failed"}, ["other"]),
    ],
)
def test_each_filter(get, rows, name, query, accounts):
    found = get(name, **query).json()
    assert [row["account"] for row in found["results"]] == accounts, found


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("messages", {"account": "nope"}), ("messages", {"state": "lost"}),
        ("bindings", {"ordering": "unbound_at"}), ("bindings", {"bound_after": "noon"}),
        ("scenes", {"state": "failed,"}), ("subscribers", {"unionid": ""}),
    ],
)  # fmt: skip
def test_what_is_nowhere_or_has_no_index_is_400(get, rows, name, query):
    response = get(name, **query)
    assert (response.status_code, *response.json()["errors"]) == (400, next(iter(query)))

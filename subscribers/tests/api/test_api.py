from __future__ import annotations

import datetime
import json

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from events.models import ApiKey
from events.people.scopes import READ_SCOPES, SCOPES
from events.testing import make_account
from subscribers.fold.rules import State
from subscribers.models import Binding, BindingRequest, QRScene, Subscriber

pytestmark = pytest.mark.django_db

START = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def account():
    return make_account(mode="plaintext")


@pytest.fixture
def user():
    return User.objects.create_superuser("alice")


@pytest.fixture
def headers(user):
    _, key = ApiKey.issue(user=user, scopes=list(SCOPES))
    return {"Authorization": f"Token {key}"}


@pytest.fixture
def api(client, headers):
    return lambda path, **query: client.get(f"/api/v1/{path}", query, headers=headers)


def follower(account, openid="o1", *, at=0, scene="", left=None) -> Subscriber:
    moment = START + datetime.timedelta(seconds=at)
    state = State(
        first_followed_at=moment,
        last_followed_at=moment,
        last_unfollowed_at=left,
        follow_count=1,
        event_count=1,
        first_scene=scene,
        first_scene_at=moment if scene else None,
        last_scene=scene,
        last_scene_at=moment if scene else None,
    )
    Subscriber.objects.fold({(account.pk, openid): state})
    Subscriber.objects.filter(account=account, openid=openid).update(updated_at=moment)
    return Subscriber.objects.get(account=account, openid=openid)


def bind(subscriber, user, **columns) -> Binding:
    defaults = {"bound_at": START, "event_id": 7, "event_time": START}
    return Binding.objects.create(
        account=subscriber.account, subscriber=subscriber, user=user, **(defaults | columns)
    )


def test_a_follower_has_exactly_the_documented_fields(api, account, user):
    subscriber = follower(account, scene="poster")
    bind(subscriber, user)
    (row,) = api("subscribers/").json()["results"]
    assert row == {
        "id": subscriber.pk,
        "account": "shop",
        "openid": "o1",
        "is_following": True,
        "first_followed_at": "2026-11-01T12:00:00Z",
        "last_followed_at": "2026-11-01T12:00:00Z",
        "last_unfollowed_at": None,
        "last_seen_at": None,
        "follow_count": 1,
        "unfollow_count": 0,
        "event_count": 1,
        "first_scene": "poster",
        "last_scene": "poster",
        "unionid": "",
        "tags": [],
        "bound_user": "alice",
        "updated_at": "2026-11-01T12:00:00Z",
    }
    assert api(f"subscribers/{subscriber.pk}/").json() == row


@pytest.mark.parametrize(
    ("query", "openids"),
    [
        ({"account": "shop"}, {"o1", "o2", "o3"}),
        ({"openid": "o2"}, {"o2"}),
        ({"is_following": "true"}, {"o1", "o3"}),
        ({"is_following": "false"}, {"o2"}),
        ({"first_scene": "poster"}, {"o3"}),
        ({"last_scene": "poster"}, {"o3"}),
        ({"followed_after": "2026-11-01T12:00:02Z"}, {"o2", "o3"}),
        ({"followed_before": "2026-11-01T12:00:02Z"}, {"o1"}),
        ({"updated_after": "2026-11-01T12:00:03Z"}, {"o3"}),
        ({"bound": "true"}, {"o1"}),
        ({"bound": "false"}, {"o2", "o3"}),
    ],
)
def test_each_filter_of_followers(api, account, user, query, openids):
    bind(follower(account, "o1", at=1), user)
    left = follower(account, "o2", at=2, left=START + datetime.timedelta(days=1))
    bind(left, user, unbound_at=START)
    follower(account, "o3", at=3, scene="poster")
    assert {row["openid"] for row in api("subscribers/", **query).json()["results"]} == openids


@pytest.mark.parametrize("query", [{"is_following": "perhaps"}, {"bound": "1"}, {"name": "x"}])
def test_a_misunderstood_filter_is_400(api, query):
    assert api("subscribers/", **query).status_code == 400


@pytest.mark.parametrize("path", ["subscribers/", "scenes/", "bindings/", "binding-requests/"])
def test_lists_cost_a_constant_number_of_statements(
    api, account, user, path, django_assert_num_queries
):
    for number in range(12):
        subscriber = follower(account, f"o{number}")
        owner = User.objects.create_user(f"u{number}")
        bind(subscriber, owner)
        QRScene.objects.create(account=account, scene=f"s{number}", name="海报")
        BindingRequest.objects.create(
            account=account, user=owner, scene_digest=str(number), created_at=START,
            expires_at=START,
        )  # fmt: skip
    ApiKey.objects.update(last_used_at=timezone.now(), last_used_from="127.0.0.1")
    api(path)  # the first look of an hour is recorded
    # A code's tags are in a table of their own.
    with django_assert_num_queries(3 if path == "scenes/" else 2):
        assert len(api(path).json()["results"]) == 12


def test_scenes_and_bindings_have_the_documented_fields(api, account, user):
    QRScene.objects.create(account=account, scene="poster", name="地铁海报")
    (scene,) = api("scenes/", scene="poster").json()["results"]
    assert (scene["account"], scene["scene"], scene["name"], scene["is_expired"]) == (
        "shop", "poster", "地铁海报", False,
    )  # fmt: skip
    binding = bind(follower(account, left=START + datetime.timedelta(days=1)), user)
    (row,) = api("bindings/", user="alice", active="true").json()["results"]
    assert row == {
        "id": binding.pk,
        "account": "shop",
        "openid": "o1",
        "user": "alice",
        "bound_at": "2026-11-01T12:00:00Z",
        "unbound_at": None,
        "event": 7,
        "is_active": True,
        "is_dormant": True,
    }
    assert api("bindings/", active="false").json()["results"] == []


def test_a_binding_request_shows_its_code_once(client, api, headers, account, user):
    response = client.post(
        "/api/v1/binding-requests/",
        json.dumps({"account": "shop", "user": "alice"}),
        content_type="application/json",
        headers=headers,
    )
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    made = response.json()
    scene = made.pop("scene")
    request = BindingRequest.objects.get()
    assert request.scene_digest == BindingRequest.digest_of(scene)
    assert (made["user"], made["state"], made["id"]) == ("alice", "waiting", request.pk)
    for path in ("binding-requests/", f"binding-requests/{request.pk}/"):
        assert scene not in api(path).content.decode()
    assert api("binding-requests/", user="alice").json()["results"] == [made]


def test_a_second_request_withdraws_the_first(client, api, headers, account, user):
    for _ in range(2):
        client.post(
            "/api/v1/binding-requests/",
            {"account": "shop", "user": "alice"},
            content_type="application/json",
            headers=headers,
        )
    rows = api("binding-requests/").json()["results"]
    assert [(row["state"], row["refused_reason"]) for row in rows] == [
        ("waiting", ""),
        ("refused", "withdrawn"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"account": "shop"},
        {"account": "nowhere", "user": "alice"},
        {"account": "shop", "user": "nobody"},
        {"account": "shop", "user": "gone"},
        {"account": "shop", "user": "ali\0ce"},
        {"account": ["shop"], "user": {"username": "alice"}},
    ],
)
def test_a_request_for_nobody_is_400(client, headers, account, data):
    User.objects.create_user("gone", is_active=False)
    response = client.post(
        "/api/v1/binding-requests/", data, content_type="application/json", headers=headers
    )
    assert response.status_code == 400
    assert not BindingRequest.objects.exists()


def test_making_a_request_needs_the_write_scope(client, account, user):
    _, key = ApiKey.issue(user=user, scopes=list(READ_SCOPES))
    response = client.post(
        "/api/v1/binding-requests/",
        {"account": "shop", "user": "alice"},
        content_type="application/json",
        headers={"Authorization": f"Token {key}"},
    )
    assert response.status_code == 403
    assert not BindingRequest.objects.exists()

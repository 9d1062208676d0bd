"""Every parameter of every list and statistic refuses what it does not know, by the schema."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from events.models import ApiKey, OfficialAccount
from events.people.scopes import READ_SCOPES
from events.testing import make_account
from subscribers.models import QRScene

pytestmark = pytest.mark.django_db

# That nobody has one is an answer; and a menu key or URL is any text.
FREE = {"openid", "unionid", "event_key"}
SPAN = {"account": "shop", "from": "2026-03-02", "to": "2026-03-04"}


@pytest.fixture
def get(client):
    make_account("shop")
    _, key = ApiKey.issue(user=User.objects.create_superuser("reader"), scopes=list(READ_SCOPES))

    def get(path, query):
        return client.get(path, query, headers={"Authorization": f"Token {key}"})

    return get


def parameters(get):
    """Each parameter of the query of each GET: its path, its name."""
    document = get("/api/schema/", {"format": "json"}).json()
    for path, operations in document["paths"].items():
        for each in operations.get("get", {}).get("parameters", []):
            if each["in"] == "query" and "{" not in path:
                yield path, each["name"]


@pytest.mark.slow
def test_what_is_nowhere_is_400_and_names_its_parameter(get):
    tried = set()
    for path, name in parameters(get):
        if name in FREE:
            continue
        query = {name: "nope-of-all"}
        if "/stats/" in path:
            query = SPAN | query
        response = get(path, query)
        tried.add(name)
        if name in {"cursor", "format"}:
            assert response.status_code in {400, 404, 406}, (path, name)
        else:
            assert response.status_code == 400, (path, name, response.content[:300])
            assert response["Content-Type"] == "application/problem+json"
            assert list(response.json()["errors"]) == [name], (path, response.json())
    assert {"user", "tag", "scene", "kind", "account", "first_scene", "msg_type"} <= tried


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("events", {"kind": "text,event.click"}),
        ("events", {"msg_type": "TEXT"}),
        ("events", {"event": "SCAN"}),
        ("events", {"scene": "poster"}),
        ("subscribers", {"first_scene": "poster"}),
        ("scenes", {"scene": "poster"}),
        ("scenes", {"tag": "spring"}),
        ("bindings", {"user": "reader"}),
        ("binding-requests", {"user": "reader"}),
        ("stats/events", SPAN | {"kind": "event.click"}),
    ],
)
def test_a_name_without_rows_is_an_empty_list(get, path, query):
    code = QRScene.objects.create(
        account=OfficialAccount.objects.get(), scene="poster", name="Poster", due_at=None
    )
    code.tags.create(name="spring")
    response = get(f"/api/v1/{path}/", query)
    assert response.status_code == 200, response.content

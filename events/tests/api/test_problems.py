"""Refusals of the API: one shape for all, with a code for programs and words for people."""

from __future__ import annotations

import asyncio
import json

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from rest_framework.exceptions import Throttled

from events.models import ApiKey
from events.people.scopes import SCOPES
from events.testing import FrontProtocol, FrontScope, make_account
from wechat_site.serving.pages import Pages

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(client):
    """Sends a request with a key of all scopes; in English, unless it says otherwise."""
    make_account(mode="plaintext")
    _, key = ApiKey.issue(user=User.objects.create_superuser("reader"), scopes=list(SCOPES))
    client.raise_request_exception = False

    def send(method, path, *, key=key, body=None, kind="application/json", **headers):
        given = {"Accept-Language": "en"} | {n.replace("_", "-"): v for n, v in headers.items()}
        if key:
            given["Authorization"] = f"Token {key}"
        data = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
        more = {} if data is None else {"data": data, "content_type": kind}
        return client.generic(method, path, headers=given, **more)

    return send


def problem_in(response):
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert list(problem)[:5] == ["type", "title", "status", "code", "detail"]
    assert set(problem) <= {"type", "title", "status", "code", "detail", "errors"}
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]
    for python in ("dict", "NoneType", "Expecting", "object has", "matches the given", "slug="):
        assert python not in response.content.decode()
    return problem


SCENES = "/api/v1/scenes/"


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "code"),
    [
        ("GET", "/api/v1/events/", {"key": None}, 401, "not_authenticated"),
        ("GET", "/api/v1/events/", {"key": "wrong"}, 401, "authentication_failed"),
        ("GET", "/api/nothing/", {}, 404, "not_found"),
        ("GET", "/api/nothing", {"key": None}, 404, "not_found"),
        ("GET", "/api/v1/events/99/", {}, 404, "not_found"),
        ("GET", "/api/v1/events/?cursor=x", {}, 404, "not_found"),
        ("GET", "/api/v1/events/", {"Host": "evil.example"}, 400, "bad_host"),
        ("GET", "/api/v1/events/", {"Accept": "text/csv"}, 406, "not_acceptable"),
        ("GET", "/api/v1/events/?format=xml", {}, 400, "invalid"),
        ("GET", "/api/v1/stats/top/?account=shop&format=", {}, 400, "invalid"),
        ("GET", "/api/v1/events/?opneid=x", {}, 400, "invalid"),
        ("GET", "/api/v1/stats/events/?format=csv", {}, 400, "invalid"),
        ("GET", "/api/v1/subscribers/export/?format=csv&x=1", {}, 400, "invalid"),
        ("GET", "/api/v1/scenes/1/qr.svg", {}, 404, "not_found"),
        ("GET", "/api/schema/", {"Accept": "image/png"}, 406, "not_acceptable"),
        ("DELETE", "/api/v1/events/?opneid=x", {}, 405, "method_not_allowed"),
        ("DELETE", "/api/v1/events/", {}, 405, "method_not_allowed"),
        ("POST", "/api/v1/scenes/?again=1", {"body": {}}, 400, "invalid"),
        ("GET", "/api/v1/accounts/shop/access-token/?again=1", {}, 400, "invalid"),
        ("POST", SCENES, {"body": "<xml/>", "kind": "text/xml"}, 415, "unsupported_media_type"),
        ("POST", SCENES, {"body": "{"}, 400, "parse_error"),
        ("POST", SCENES, {"body": b"\xff"}, 400, "parse_error"),
        ("POST", SCENES, {"body": b"x" * 3_000_000}, 413, "body_too_large"),
        ("POST", SCENES, {"body": "[NaN]"}, 400, "parse_error"),
        ("POST", SCENES, {"body": []}, 400, "not_an_object"),
        ("POST", SCENES, {"body": {"account": "nope", "name": "a"}}, 400, "invalid"),
        ("POST", SCENES, {"body": {"account": {}, "name": []}}, 400, "invalid"),
        ("POST", SCENES, {"body": {"account": "shop", "name": "a", "tags": "x"}}, 400, "invalid"),
        ("POST", SCENES, {"body": {"account": "shop", "name": 5}}, 400, "invalid"),
        ("POST", SCENES, {"body": {"account": "shop", "name": "a", "adopt": 1}}, 400, "invalid"),
        ("POST", SCENES, {"body": {"account": "shop", "name": "a", "tags": [1]}}, 400, "invalid"),
        ("POST", "/api/v1/messages/", {"body": {"payload": [1]}}, 400, "invalid"),
    ],
)  # fmt: skip
def test_every_refusal_has_one_shape_and_its_code(ask, method, path, given, status, code):
    response = ask(method, path, **given)
    problem = problem_in(response)
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response["Content-Language"] == "en"
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    assert status != 405 or response["Allow"]


def test_fields_are_named_with_their_errors(ask):
    problem = problem_in(ask("GET", "/api/v1/events/?opneid=x&page_sice=2"))
    unknown = [{"code": "unknown", "detail": "There is no such filter."}]
    assert problem["errors"] == {"opneid": unknown, "page_sice": unknown}
    assert problem["detail"].startswith("opneid: There is no such filter.")
    body = {"account": "shop", "name": "a\nb", "tags": ["ok", "a,b"], "expire_seconds": 0}
    errors = problem_in(ask("POST", SCENES, body=body))["errors"]
    assert list(errors) == ["name", "expire_seconds", "tags.1"]
    body = {"account": "nope", "openid": "o", "kind": "text", "payload": {}}
    errors = problem_in(ask("POST", "/api/v1/messages/", body=body))["errors"]
    assert errors["account"] == [{"code": "does_not_exist", "detail": "There is no such name."}]


def test_people_read_their_own_language_and_programs_the_same_code(ask):
    paths = ("/api/v1/events/?opneid=x", "/api/nothing/", "/api/v1/events/99/", "/api/v1/events/")
    for path in paths:
        wrong = {"key": "wrong"} if path == paths[-1] else {}
        english, chinese = (
            problem_in(ask("GET", path, Accept_Language=language, **wrong))
            for language in ("en", "zh-CN")
        )
        assert english["code"] == chinese["code"]
        assert english["title"] != chinese["title"]
        assert english["detail"] != chinese["detail"]
    response = ask("GET", "/api/nothing", Host="evil.example", Accept_Language="zh-TW,en;q=0.5")
    assert response["Content-Language"] == "zh-hans"
    assert "域名" in problem_in(response)["detail"]


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (KeyError("event"), 500, "server_error"),
        (PermissionDenied("subscribers.view_binding"), 403, "permission_denied"),
        (Throttled(wait=30), 429, "throttled"),
    ],
)
def test_faults_and_throttling_have_the_shape_too(ask, monkeypatch, raised, status, code):
    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr("events.api.event_filter.EventFilter.by_kind", fail)
    response = ask("GET", "/api/v1/events/?kind=text")
    problem = problem_in(response)
    assert (response.status_code, problem["code"]) == (status, code)
    assert "event" not in problem["detail"]
    assert "view_binding" not in problem["detail"]
    assert response.headers.get("Retry-After") == ("30" if status == 429 else None)


@pytest.mark.parametrize("path", ["events/", "stats/top/?account=shop&format=csv"])
def test_options_names_the_methods_and_describes_nothing(ask, path):
    response = ask("OPTIONS", f"/api/v1/{path}")
    assert (response.status_code, response.content) == (200, b"")
    assert response["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.any_database
@pytest.mark.parametrize("path", ["/api/v1/scenes/", "/admin/"])
def test_what_the_server_refuses_by_itself_is_a_problem_under_the_api(path):
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_LENGTH": "9999"}
    scope = FrontScope(environ)
    scope.headers["accept-language"] = "zh-CN"
    pages = Pages(lambda *_: [], threads=1, anonymous_body=10, largest_body=20, session_cookie="s")
    protocol = FrontProtocol(environ)
    asyncio.run(pages(scope, protocol))
    assert protocol.status == 413
    if path.startswith("/api/"):
        problem = json.loads(protocol.body)
        assert (problem["code"], problem["title"]) == ("body_too_large", "请求体过大")
    else:
        assert protocol.body == "body too large"

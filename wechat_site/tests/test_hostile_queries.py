"""What nobody's client sends: every list and every filter, of the admin and of the API."""

from __future__ import annotations

import itertools
import json
import logging
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.template import engines
from django.urls import NoReverseMatch, reverse

from events.models import ApiKey, OfficialAccount
from events.people.scopes import SCOPES
from events.testing import make_account, message_xml, push
from wechat_site.api import router

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

HUGE = "9" * 25
VALUES = {
    "NUL": "\0",
    "NUL in a word": "a\0b",
    "a huge number": HUGE,
    "a huge negative number": f"-{HUGE}",
    "a long word": "a" * 5000,
    "3,000 words": "word " * 3000,
    "deep JSON": "[" * 3000,
    "a regular expression": "(((((",
    "half a character": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "infinity": "inf",
    "a date without end": "99999-99-99T99:99:99Z",
    "percent": "%%%s%(x)s",
    "empty": "",
}
LISTS = sorted(admin.site._registry, key=lambda model: model._meta.label)
# Filters that Django's own lists would take from the URL.
LOOKUPS = [
    "pk", "id", "id__in", "id__gt", "openid", "openid__regex", "account", "account__id__exact",
    "account__slug", "account__token__startswith", "event_time__year", "event_time__gte",
    "created_at__year", "user__password__startswith", "password__startswith", "key_digest__regex",
    "nonsense", "nonsense__x", "q", "o", "p", "all", "e", "_to_field", "_popup", "older_than",
    "newer_than", "_changelist_filters", "days",
]  # fmt: skip


def list_of(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def names_of_filters(model):
    for item in getattr(admin.site._registry[model], "list_filter", ()):
        if isinstance(item, type):
            yield item.parameter_name
        else:
            name = item[0] if isinstance(item, (list, tuple)) else item
            yield from (f"{name}__exact", f"{name}__id__exact", f"{name}__isnull", name)


@pytest.fixture
def rows(operator):
    account = make_account(mode="plaintext", app_secret="0" * 32)
    for number in range(3):
        push(account, message_xml("event.subscribe", openid=f"o{number}", at=1767225661 + number))
    return account


# Pages take the theme fifty times as long to draw as the database to answer.
BARE = engines["django"].from_string("{% for row in cl.result_list %}{{ row }}{% endfor %}")
DRAWN = ["half a character", "percent", "deep JSON"]


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
def test_no_filter_of_an_admin_list_is_a_fault_of_ours(operator, rows, model, monkeypatch):
    operator.raise_request_exception = False
    offered = [*dict.fromkeys(names_of_filters(model)), "q"]
    number = LISTS.index(model)
    what = DRAWN[number % len(DRAWN)]
    response = operator.get(list_of(model), {offered[0]: VALUES[what]}, follow=True)
    assert response.status_code in {200, 400}, what

    monkeypatch.setattr(admin.site._registry[model], "change_list_template", BARE)
    monkeypatch.setattr(admin.site, "each_context", lambda request: {})
    # What no list offers is refused by their common base, so each list is asked for some of it.
    lookups, hostile = itertools.cycle(LOOKUPS), itertools.cycle(VALUES.items())
    tried = [
        *((name, *value) for name in offered for value in VALUES.items()),
        *(
            (name, *value)
            for name, value in itertools.islice(
                zip(lookups, hostile, strict=False), 10 * number, 10 * number + 10
            )
        ),
    ]
    for name, what, value in tried:
        response = operator.get(list_of(model), {name: value})
        if response.status_code == 302:
            assert response.headers["Location"].endswith("?e=1"), (name, what)
            continue
        assert response.status_code in {200, 400}, (name, what)
        # The page of tasks is no list of Django's.
        if response.status_code == 200 and "cl" in response.context:
            cl = response.context["cl"]
            assert all(list(spec.choices(cl)) is not None for spec in cl.filter_specs)


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
def test_no_choice_of_rows_is_a_fault_of_ours(operator, rows, model):
    operator.raise_request_exception = False
    for what, value in VALUES.items():
        data = {"action": "delete_selected", "_selected_action": [value], "index": "0"}
        response = operator.post(list_of(model), data)
        assert response.status_code in {200, 302, 400, 403, 405}, what


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
def test_no_number_of_a_row_is_a_fault_of_ours(operator, rows, model):
    operator.raise_request_exception = False
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        page_of_first = reverse(name, args=["1"])
    except NoReverseMatch:
        return  # its rows have no pages
    for what, value in VALUES.items():
        if "/" in value or not value:
            continue
        # Where the address takes numbers alone, nothing else can be reversed.
        response = operator.get(page_of_first.replace("/1/", f"/{quote(value.strip())}/"))
        assert response.status_code in {200, 302, 400, 403, 404}, what


def test_lookups_that_a_page_does_not_offer_are_refused(operator, rows):
    for path in (
        "/admin/subscribers/subscriber/?openid__regex=.",
        "/admin/events/eventlog/?openid__startswith=o",
        "/admin/events/officialaccount/?token__startswith=R",
        "/admin/auth/user/?password__startswith=pbkdf2",
    ):
        assert operator.get(path).status_code == 400, path


def test_a_list_does_what_it_offers(operator, rows):
    for path in (
        "/admin/events/eventlog/?account=shop&status=processed&days=7",
        "/admin/events/ruleversion/?account=shop",
        "/admin/subscribers/qrscene/?is_permanent__exact=1&tags__id__exact=1",
        "/admin/auth/user/?is_staff__exact=1",
    ):
        assert operator.get(path).status_code == 200, path


# --- The API ---

ENDPOINTS = {prefix: viewset for prefix, viewset, _ in router.registry}


@pytest.fixture
def api(client, rows):
    _, key = ApiKey.issue(user=User.objects.create_superuser("reader"), scopes=list(SCOPES))
    client.raise_request_exception = False
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {key}"
    return client


@pytest.mark.parametrize("prefix", ENDPOINTS)
def test_no_filter_of_the_api_is_a_fault_of_ours(api, prefix):
    filterset = getattr(ENDPOINTS[prefix], "filterset_class", None)
    names = [*(filterset.base_filters if filterset else ()), "cursor", "page_size", "nonsense"]
    for name in names:
        for what, value in VALUES.items():
            response = api.get(f"/api/v1/{prefix}/", {name: value})
            assert response.status_code in {200, 400, 404}, (name, what)


@pytest.mark.parametrize("prefix", ENDPOINTS)
def test_no_name_of_a_row_is_a_fault_of_the_api(api, prefix):
    for what, value in VALUES.items():
        if "/" not in value:
            from urllib.parse import quote

            response = api.get(f"/api/v1/{prefix}/{quote(value)}/")
            assert response.status_code in {200, 404}, what


WRITABLE = [prefix for prefix, viewset in ENDPOINTS.items() if hasattr(viewset, "create")]
BODIES = {
    "deep": "[" * 100_000,
    "deep but closed": "[" * 500 + "]" * 500,
    "deep in a field": '{"account": ' + "[" * 500 + "]" * 500 + "}",
    "NUL": json.dumps({"account": "\0", "name": "a", "openid": "\0", "payload": {"a": "\0"}}),
    "half a character": '{"name": "\\ud800", "account": "shop"}',
    "a huge number": f'{{"expire_seconds": {HUGE}, "account": {HUGE}, "name": {HUGE}}}',
    "a number of 5,000 digits": f'{{"account": {"9" * 5000}}}',
    "infinity": '{"expire_seconds": Infinity, "account": "shop", "name": "x"}',
    "a list": "[]",
    "a word": '"word"',
    "nothing": "",
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("prefix", WRITABLE)
@pytest.mark.parametrize("what", BODIES)
def test_no_body_is_a_fault_of_the_api(api, prefix, what):
    response = api.post(f"/api/v1/{prefix}/", BODIES[what], content_type="application/json")
    assert response.status_code == 400


@pytest.mark.parametrize("prefix", WRITABLE)
def test_a_field_that_nobody_reads_is_named(api, prefix):
    response = api.post(
        f"/api/v1/{prefix}/", {"account": "shop", "expires_seconds": 60},
        content_type="application/json",
    )  # fmt: skip
    assert response.status_code == 400
    assert "expires_seconds" in response.content.decode()


def test_a_misspelt_lifetime_makes_no_permanent_code(api):
    from subscribers.models import QRScene

    body = {"account": "shop", "name": "a", "expires_seconds": 60}
    assert api.post("/api/v1/scenes/", body, content_type="application/json").status_code == 400
    assert not QRScene.objects.exists()
    del body["expires_seconds"]
    made = api.post("/api/v1/scenes/", body, content_type="application/json").json()
    again = api.post(
        f"/api/v1/scenes/{made['id']}/renew/", {"x": 1}, content_type="application/json"
    )
    assert again.status_code == 400
    assert "x" in again.json()["errors"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_no_address_of_the_api_redirects(api, slash):
    body = {"account": "shop", "name": "a"}
    made = api.post(f"/api/v1/scenes{slash}", body, content_type="application/json")
    assert made.status_code == 201
    for prefix in ENDPOINTS:
        assert api.get(f"/api/v1/{prefix}{slash}").status_code == 200
    pk = made.json()["id"]
    assert api.get(f"/api/v1/scenes/{pk}{slash}").json()["id"] == pk
    assert api.get(f"/api/v1/scenes/{pk}/qr.svg{slash}").status_code == 404  # no ticket yet
    assert "json" in api.get(f"/api/v1/scenes/{pk}/qr.svg{slash}")["Content-Type"]
    assert api.get(f"/api/schema{slash}").status_code == 200
    assert api.get(f"/api/docs{slash}").status_code == 200
    assert api.get(f"/api/nothing{slash}").status_code == 404


# --- The log ---


def test_refusals_are_one_line_of_the_log_and_faults_a_traceback(operator, rows, caplog):
    from wechat_site.log_filters import OwnFaultsFilter

    operator.raise_request_exception = False
    with caplog.at_level(logging.INFO):
        operator.get("/admin/", headers={"host": "evil.example"})
        operator.get("/admin/events/eventlog/?openid__regex=.")
        operator.get("/admin/events/eventlog/999/change/nothing")
    refused = [record for record in caplog.records if record.name.startswith("django")]
    assert refused
    for record in refused:
        assert OwnFaultsFilter().filter(record)
        assert not record.exc_info
    fault = logging.LogRecord("django.request", 40, "", 1, "", None, (ValueError, None, None))
    fault.status_code = 500
    assert OwnFaultsFilter().filter(fault)
    assert fault.exc_info


def test_the_accounts_page_is_not_found_by_its_secrets(operator, rows):
    assert OfficialAccount.objects.count() == 1
    assert operator.get("/admin/events/officialaccount/?app_secret=x").status_code == 400

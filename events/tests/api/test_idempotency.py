"""A POST that is sent again with its Idempotency-Key acts once."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from events.models import ApiKey, IdempotentRequest
from events.people.scopes import SCOPES
from events.testing import make_account

pytestmark = pytest.mark.django_db

BODY = {"account": "shop", "name": "Poster"}


@pytest.fixture
def post(db):
    make_account(mode="plaintext", app_secret="0" * 32)
    user = User.objects.create_superuser("system")
    _, own = ApiKey.issue(user=user, scopes=list(SCOPES))

    def send(key="a", body=BODY, path="scenes/", token=own):
        headers = {"Authorization": f"Token {token}", "Idempotency-Key": key}
        return Client().post(
            f"/api/v1/{path}", body, content_type="application/json", headers=headers
        )

    return send


def codes():
    from django.apps import apps

    return apps.get_model("subscribers", "QRScene").objects.count()


def test_the_same_request_acts_once_and_is_answered_alike(post):
    first, again = post(), post(body=dict(reversed(BODY.items())))
    assert (first.status_code, again.status_code, codes()) == (201, 201, 1)
    assert first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again["Idempotency-Replayed"] == "true"
    assert post("b").json() != first.json()
    assert codes() == 2


def test_every_post_takes_a_key_and_a_binding_code_is_not_stored_in_clear(post):
    body = {"account": "shop", "user": "system"}
    first, again = (post("c", body, "binding-requests/") for _ in range(2))
    assert first.json() == again.json()
    (stored,) = IdempotentRequest.objects.values_list("content", flat=True)
    assert first.json()["scene"] in stored  # as the field decrypts it
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM events_idempotentrequest")
        assert first.json()["scene"] not in str(cursor.fetchall())


def test_another_body_or_address_is_422(post):
    pk = post().json()["id"]
    for response in (post(body=BODY | {"name": "x"}), post(body={}, path=f"scenes/{pk}/renew/")):
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert codes() == 1


def test_a_refused_request_may_be_corrected_and_another_key_has_its_own_names(post):
    assert post(body={"account": "shop"}).status_code == 400
    assert post().status_code == 201
    _, other = ApiKey.issue(user=User.objects.create_superuser("other"), scopes=list(SCOPES))
    assert post(token=other, body=BODY | {"name": "x"}).status_code == 201
    assert codes() == 2


def test_a_request_under_way_is_409_until_it_is_taken_for_dead(post):
    post()
    IdempotentRequest.objects.update(status=None)
    waiting = post()
    assert (waiting.status_code, waiting.json()["code"]) == (409, "idempotency_key_in_use")
    assert waiting["Retry-After"] == "1"
    IdempotentRequest.objects.update(started_at=timezone.now() - IdempotentRequest.LEASE)
    assert post().status_code == 201
    assert codes() == 2


@pytest.mark.django_db(transaction=True)
def test_a_fault_leaves_neither_a_code_nor_an_answer(post, monkeypatch):
    class Fault(Exception):
        pass

    def fail(*_args):
        raise Fault

    with monkeypatch.context() as patch:
        patch.setattr("events.api.requests.idempotency.JSONRenderer.render", fail)
        with pytest.raises(Fault):
            post()
    assert (codes(), IdempotentRequest.objects.count()) == (0, 0)
    assert post().status_code == 201


def test_after_a_day_the_name_is_free_and_the_worker_removes_the_row(post):
    post()
    IdempotentRequest.objects.update(created_at=timezone.now() - datetime.timedelta(hours=25))
    assert post().status_code == 201
    assert codes() == 2
    assert IdempotentRequest.objects.forget_old(timezone.now()) == 0
    later = timezone.now() + datetime.timedelta(hours=25)
    assert IdempotentRequest.objects.forget_old(later) == 1


@pytest.mark.parametrize("key", ["", "a" * 256, "schlüssel"])
def test_a_name_that_cannot_be_is_400(post, key):
    response = post(key)
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")

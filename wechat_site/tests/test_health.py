from __future__ import annotations

from unittest import mock

import pytest
from django.db import DatabaseError, connection


def test_alive_needs_no_database(client):
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok")


@pytest.mark.django_db
def test_ready_asks_the_database(client):
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_not_ready_without_a_database(client):
    with mock.patch.object(connection, "cursor", side_effect=DatabaseError):
        response = client.get("/readyz")
    assert response.status_code == 503


@pytest.mark.django_db
def test_metrics_count_refusals(client):
    text = client.get("/metrics").content.decode()
    assert "wechat_callbacks_total" in text
    assert "wechat_callback_refusals_total" in text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.1.2.3", {}, 403),
        ("8.8.8.8", {}, 403),
        # the proxy's own address proves nothing about who asks through it
        ("127.0.0.1", {"X-Forwarded-For": "8.8.8.8"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Forwarded": "for=8.8.8.8"}, 403),
        ("8.8.8.8", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("", {}, 403),
    ],
)
def test_without_a_token_metrics_are_for_this_machine(client, address, headers, status):
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == status


@pytest.mark.django_db
def test_with_a_token_only_its_bearer_reads_the_metrics(client, settings):
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 403
    headers = {"Authorization": "Bearer s3cret"}
    assert client.get("/metrics", headers=headers, REMOTE_ADDR="8.8.8.8").status_code == 200

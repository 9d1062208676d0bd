"""A turn of the sender: what it waits for, and what it reads."""

from __future__ import annotations

import datetime
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.testing import message_xml, push
from subscribers.models import WebhookAttempt, WebhookDelivery
from subscribers.tests.state.test_plans import analyze, plan_of
from subscribers.tests.webhooks.meanwhile import before_update
from subscribers.webhooks import endpoint_standing, send_deliveries
from subscribers.webhooks.endpoints import make_endpoint
from subscribers.webhooks.post import Answer, NoAnswer
from subscribers.webhooks.send_deliveries import send_due
from subscribers.webhooks.write import write_messages

pytestmark = pytest.mark.django_db

NUMBER = 12


@pytest.fixture
def endpoint(account):
    endpoint = make_endpoint(account, "https://a.example/hook", ["message.received"])
    for number in range(NUMBER):
        push(account, message_xml("text", openid="o1", Content="x", MsgId=number))
    write_messages()
    return endpoint


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_what_was_answered_is_noted_while_one_request_waits(endpoint, monkeypatch, fails):
    """The one that hangs goes on only when it is seen that the others were noted."""
    others_are_noted = threading.Event()
    hangs = threading.Lock()

    def post(url, headers, body):
        if hangs.acquire(blocking=False):
            assert others_are_noted.wait(60)
            if fails:
                raise NoAnswer("timeout", "")
        return Answer(200, "", {})

    def note(endpoint, tries, takes_some):
        taken = noting(endpoint, tries, takes_some)
        if WebhookDelivery.objects.filter(state="sent").count() == NUMBER - 1:
            others_are_noted.set()
        return taken

    noting = send_deliveries._note
    monkeypatch.setattr(send_deliveries, "post", post)
    monkeypatch.setattr(send_deliveries, "_note", note)
    assert send_due() == NUMBER
    assert WebhookAttempt.objects.count() == NUMBER
    assert WebhookDelivery.objects.filter(state="sent").count() == NUMBER - fails
    # It takes what it is sent, all but one.
    endpoint.refresh_from_db()
    assert endpoint.failures == 0


def test_what_is_due_is_found_without_what_is_over(endpoint):
    """Whatever an endpoint was sent in a month, and however much is due at one moment."""
    others = [
        make_endpoint(endpoint.account, f"https://b{number}.example/", ["message.received"])
        for number in range(200)
    ]
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            account=endpoint.account, endpoint=other, message=delivery.message, state="sent",
            due_at=None,
        )
        for delivery in WebhookDelivery.objects.select_related("message")
        for other in others
    )  # fmt: skip
    WebhookDelivery.objects.filter(endpoint=endpoint).update(due_at=timezone.now())
    analyze()
    with CaptureQueriesContext(connection) as queries:
        WebhookDelivery.objects.filter(endpoint=endpoint).claim(
            timezone.now(), limit=1, lease=datetime.timedelta(seconds=30)
        )
        endpoint_standing.sweep(timezone.now())
        endpoint_standing.hold(endpoint)
    plans = {
        sql: plan_of(sql)
        for sql in (query["sql"] for query in queries)
        if sql.startswith(("SELECT", "UPDATE")) and _looks_for_what_is_due(sql)
    }
    assert len(plans) == 3
    for plan in plans.values():
        assert "webhook_delivery_due" in plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan


def test_a_delivery_sent_while_the_sweep_runs_is_not_held(endpoint):
    endpoint.is_active = False
    endpoint.save(update_fields=["is_active"])
    rows = WebhookDelivery.objects.filter(pk=WebhookDelivery.objects.earliest("pk").pk)
    table = WebhookDelivery._meta.db_table
    with before_update(table, lambda: rows.update(state="sent", due_at=None)):
        endpoint_standing.sweep(timezone.now())
    assert rows.get().state == "sent"
    assert WebhookDelivery.objects.filter(state="held").count() == NUMBER - 1


def _looks_for_what_is_due(sql: str) -> bool:
    condition = sql.partition(" WHERE ")[2].partition(" ORDER BY ")[0]
    return '"due_at"' in condition and '"subscribers_webhookdelivery"."id" IN' not in condition

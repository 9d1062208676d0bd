"""Deleting webhooks and their messages while the worker sends."""

from __future__ import annotations

import datetime

import pytest
from django.db import transaction
from django.utils import timezone

from events.testing import make_account
from subscribers.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from subscribers.tests.locks import InAnotherThread, wait_for_a_lock
from subscribers.webhooks.endpoint_standing import hold
from subscribers.webhooks.endpoints import make_endpoint
from subscribers.webhooks.personal_deliveries import forget_old_messages
from subscribers.webhooks.replay import send_test

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def delivery():
    endpoint = make_endpoint(make_account(), "https://shop.example/hook", ["event.*"])
    return send_test(endpoint)


def one():
    WebhookEndpoint.objects.get().delete()


def all_chosen():
    WebhookEndpoint.objects.all().delete()


@pytest.mark.parametrize("delete", [one, all_chosen])
def test_a_webhook_is_deleted_while_the_worker_holds_its_deliveries(delivery, delete):
    deletion = InAnotherThread(delete)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get()
        deletion.start()
        wait_for_a_lock(deletion)
        hold(endpoint)
    deletion.join()
    assert deletion.failed == []
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("delete", [one, all_chosen, forget_old_messages])
def test_a_delivery_is_deleted_while_the_worker_notes_an_attempt(delivery, delete):
    WebhookMessage.objects.update(created_at=timezone.now() - datetime.timedelta(days=1000))
    deletion = InAnotherThread(delete)
    with transaction.atomic():
        WebhookDelivery.objects.select_for_update().get()
        deletion.start()
        wait_for_a_lock(deletion)
        WebhookAttempt.objects.create(delivery=delivery, at=timezone.now(), duration_ms=1)
    deletion.join()
    assert deletion.failed == []
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("delete", [one, all_chosen])
def test_a_webhook_is_deleted_while_it_gets_another_delivery(delivery, delete):
    deletion = InAnotherThread(delete)
    writing = InAnotherThread(lambda: send_test(delivery.endpoint))
    with transaction.atomic():
        WebhookDelivery.objects.select_for_update().get()
        deletion.start()
        wait_for_a_lock(deletion)
        writing.start()
        wait_for_a_lock(writing, waiting=2)
    deletion.join()
    writing.join()
    assert deletion.failed == []
    assert not WebhookEndpoint.objects.exists()

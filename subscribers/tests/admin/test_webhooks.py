"""Operators make a webhook, see its secret once, and look at what became of each message."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.models import AccountLimit, AuditEntry
from events.testing import make_account, message_xml, push
from subscribers.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from subscribers.tests.webhooks.meanwhile import before_update
from subscribers.webhooks.endpoint_standing import stop
from subscribers.webhooks.write import write_messages
from wechat_site.tests.signin.people import browser_of, with_rights

pytestmark = pytest.mark.django_db

PAGES = "/admin/subscribers/webhookendpoint/"
DELIVERIES = "/admin/subscribers/webhookdelivery/"


@pytest.fixture
def account():
    return make_account(mode="plaintext")


@pytest.fixture
def endpoint(account, operator):
    given = {
        "account": account.pk,
        "url": "https://crm.example/hook?key=xyzzy",
        "chosen_types": ["message.received"],
        "more_types": "event.click event.view",
    }
    page = operator.post(f"{PAGES}add/", given, follow=True)
    endpoint = WebhookEndpoint.objects.get()
    shown = re.findall(r"whsec_[\w+/=]+", page.content.decode())
    assert shown == [endpoint.secret]
    return endpoint


@pytest.fixture
def delivery(account, endpoint):
    push(account, message_xml("text", openid="oWho", Content="Hello", MsgId=1))
    write_messages()
    delivery = WebhookDelivery.objects.get()
    WebhookAttempt.objects.create(
        delivery=delivery, at=timezone.now(), duration_ms=12, status=500, answer="Oh no"
    )
    WebhookDelivery.objects.update(state="failed", failure="refused", due_at=None)
    return delivery


def test_a_webhook_is_made_and_changed(endpoint, operator):
    assert endpoint.types == ["event.click", "event.view", "message.received"]
    page = f"{PAGES}{endpoint.pk}/change/"
    assert endpoint.secret not in operator.get(page).content.decode()
    given = {"url": "https://crm.example/new", "chosen_types": ["event.*"], "more_types": ""}
    operator.post(page, given)
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.types, endpoint.is_active) == (given["url"], ["event.*"], False)
    operator.post(f"{PAGES}{endpoint.pk}/activate/")
    endpoint.refresh_from_db()
    assert endpoint.is_active
    old = endpoint.secret
    fresh = operator.post(f"{PAGES}{endpoint.pk}/rotate_secret/", follow=True).content.decode()
    endpoint.refresh_from_db()
    assert endpoint.secret in fresh
    assert endpoint.previous_secret == old
    entries = AuditEntry.objects.filter(model="subscribers.webhookendpoint")
    said = str(list(entries.values_list("changes", "details", "object_name")))
    assert "url" in said
    for secret in (old, "xyzzy", "example/new"):
        assert secret not in said


def test_a_new_address_does_not_turn_on_what_is_stopped_meanwhile(endpoint, operator):
    given = {"url": "https://crm.example/new", "chosen_types": ["event.*"], "is_active": "on"}
    gone = WebhookEndpoint.Stopped.GONE
    with before_update(WebhookEndpoint._meta.db_table, lambda: stop(endpoint, gone)):
        operator.post(f"{PAGES}{endpoint.pk}/change/", given)
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.types) == (given["url"], ["event.*"])
    assert (endpoint.is_active, endpoint.stopped_because) == (False, gone)


@pytest.mark.parametrize(
    "wrong", [{"url": "nonsense"}, {"chosen_types": []}, {"more_types": "follower.danced"}]
)
def test_a_wrong_webhook_is_refused(account, operator, wrong):
    given = {"account": account.pk, "url": "https://a.example/", "chosen_types": ["event.*"]}
    page = operator.post(f"{PAGES}add/", given | wrong)
    assert page.status_code == 200
    assert not WebhookEndpoint.objects.exists()


def test_a_delivery_shows_its_attempts_and_is_sent_again(delivery, operator):
    listed = operator.get(f"{DELIVERIES}?webhook={delivery.endpoint_id}").content.decode()
    assert "https://crm.example" in listed
    assert "xyzzy" not in listed
    page = operator.get(f"{DELIVERIES}{delivery.pk}/change/").content.decode()
    for text in ("Oh no", "500", "Hello", delivery.message.message_id):
        assert text in page
    operator.post(DELIVERIES, {"action": "send_again", "_selected_action": [delivery.pk]})
    delivery.refresh_from_db()
    assert delivery.state == "waiting"


@pytest.mark.parametrize("is_limited", [True, False])
def test_the_webhooks_to_choose_are_found_without_their_deliveries(delivery, account, is_limited):
    other = make_account("other")
    WebhookEndpoint.objects.create(account=other, url="https://shop.example/", secret="whsec_x")
    user = with_rights("agent", "subscribers.view_webhookdelivery")
    if is_limited:
        AccountLimit.objects.create(user=user).accounts.add(account)
    with CaptureQueriesContext(connection) as queries:
        page = browser_of(user).get(DELIVERIES).content.decode()
    assert f"?webhook={delivery.endpoint_id}" in page
    assert ("https://shop.example" in page) is not is_limited
    assert not [query for query in queries.captured_queries if "DISTINCT" in query["sql"]]


def test_what_failed_is_sent_again(delivery, operator):
    page = f"{PAGES}{delivery.endpoint_id}/send_again/"
    assert operator.get(page).status_code == 200
    # What arrived, without a beginning.
    assert operator.post(page, {"with_successes": "on"}).status_code == 200
    assert operator.post(page, {}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.state == "waiting"
    operator.post(f"{PAGES}{delivery.endpoint_id}/send_a_test/")
    assert WebhookDelivery.objects.filter(message__type="webhook.test").count() == 1


def test_contents_are_for_those_who_may_read_them(delivery):
    user = User.objects.create_user("watcher", is_staff=True)
    rights = Permission.objects.filter(codename__in=["view_webhookdelivery"])
    user.user_permissions.set(rights)
    browser = browser_of(User.objects.get(pk=user.pk))
    page = browser.get(f"{DELIVERIES}{delivery.pk}/change/").content.decode()
    assert "500" in page
    for text in ("Hello", "oWho", "Oh no"):
        assert text not in page

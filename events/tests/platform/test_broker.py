"""Other programs get the token and the ticket that this site uses, and no others."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from events.models import ApiKey, AuditEntry, OfficialAccount, SharedAccessToken, SharedJsTicket
from events.models.account import validate_hosts
from events.models.platform.js_ticket import SharedJsTicketQuerySet
from events.people.scopes import READ_SCOPES, SCOPES, WRITE_SCOPES
from events.platform.broker import Paused, lend_js_ticket
from events.platform.client import client_for
from events.simulator.fake_api import FakeAccount
from events.wechat.api import NotPermitted
from events.wechat.api.js_tickets import JsTickets
from wechat_site.signin.roles import ROLES

USES = ("access-token:use", "js-ticket:use", "js-config:use")
PAGE = "https://shop.example.com/cart?item=1"


def with_key(*scopes: str) -> Client:
    user, _ = User.objects.get_or_create(username="ops", defaults={"is_superuser": True})
    _, key = ApiKey.issue(user=user, scopes=list(scopes))
    return Client(headers={"Authorization": f"Bearer {key}"})


# A fetch asks outside of every transaction.
pytestmark = pytest.mark.django_db(transaction=True)


def test_the_token_is_the_one_in_use(shop: OfficialAccount, at_wechat: FakeAccount, caplog):
    caplog.set_level(logging.DEBUG)
    key = with_key("access-token:use")
    first, second = (key.get("/api/v1/accounts/shop/access-token/") for _ in range(2))
    assert first.status_code == 200, first.content
    lent = first.json()
    assert lent["access_token"] == SharedAccessToken.objects.get().access_token
    assert second.json()["access_token"] == lent["access_token"]
    assert 0 < lent["expires_in"] <= 7200
    assert "no-store" in first["Cache-Control"]
    # This site's own calls go on with it.
    client_for(shop).menus.get()
    assert SharedAccessToken.objects.get().access_token == lent["access_token"]
    assert lent["access_token"] not in caplog.text
    [use] = AuditEntry.objects.filter(act="use_access_token")
    assert (use.user_name, use.account_id, use.key_id is None) == ("ops", shop.pk, False)
    assert lent["access_token"] not in str(use.__dict__)


def test_a_ticket_is_fetched_once_and_replaced_ahead_of_its_end(shop, at_wechat):
    key = with_key("js-ticket:use")
    tickets = {key.get("/api/v1/accounts/shop/js-ticket/").json()["ticket"] for _ in range(3)}
    assert len(tickets) == at_wechat.js_tickets_made == 1
    now = timezone.now()
    SharedJsTicket.objects.update(
        refreshed_at=now - datetime.timedelta(hours=2),
        expires_at=now + datetime.timedelta(minutes=4),
    )
    assert lend_js_ticket(shop).value not in tickets
    SharedJsTicket.objects.update(app_id="wx0000000000000000")
    lend_js_ticket(shop)
    assert at_wechat.js_tickets_made == 3


def test_while_another_process_fetches_the_old_ticket_is_lent(shop, at_wechat):
    old = lend_js_ticket(shop).value
    now = timezone.now()
    SharedJsTicket.objects.update(
        refreshed_at=now - datetime.timedelta(hours=2),
        expires_at=now + datetime.timedelta(minutes=4),
        lease_until=now + datetime.timedelta(seconds=30),
    )
    assert lend_js_ticket(shop).value == old


@pytest.mark.parametrize("is_certified", [True, False])
def test_after_another_process_asked_wechat_it_is_not_asked_again(
    shop, at_wechat, monkeypatch, is_certified
):
    claim, fetch, calls = SharedJsTicketQuerySet.claim, JsTickets.fetch, []

    def counted(tickets):
        calls.append(tickets)
        return fetch(tickets)

    def late(rows, *args):
        # Here the other process reads the row, claims it and asks.
        monkeypatch.setattr(SharedJsTicketQuerySet, "claim", claim)
        with contextlib.suppress(NotPermitted):
            lend_js_ticket(shop)
        return claim(rows, *args)

    at_wechat.is_certified = is_certified
    monkeypatch.setattr(SharedJsTicketQuerySet, "claim", late)
    monkeypatch.setattr(JsTickets, "fetch", counted)
    if is_certified:
        assert lend_js_ticket(shop).value == SharedJsTicket.objects.get().ticket
    else:
        with pytest.raises(Paused):
            lend_js_ticket(shop)
    assert len(calls) == 1
    assert SharedJsTicket.objects.get().lease_until is None


@pytest.mark.parametrize("is_certified", [True, False])
def test_a_process_that_lost_its_lease_changes_nothing(shop, at_wechat, monkeypatch, is_certified):
    fetch, now = JsTickets.fetch, timezone.now()
    lease_until = now + datetime.timedelta(seconds=60)
    by_another = {
        "app_id": shop.app_id,
        "ticket": "newer",
        "refreshed_at": now,
        "expires_at": now + datetime.timedelta(hours=2),
        "lease_until": lease_until,
    }

    def slow(calls):
        SharedJsTicket.objects.update(**by_another)
        return fetch(calls)

    at_wechat.is_certified = is_certified
    monkeypatch.setattr(JsTickets, "fetch", slow)
    assert lend_js_ticket(shop).value == "newer"
    row = SharedJsTicket.objects.get()
    assert (row.ticket, row.lease_until, row.failures) == ("newer", lease_until, 0)


def test_after_a_refusal_wechat_is_left_alone(shop, at_wechat):
    at_wechat.is_certified = False
    key = with_key("js-ticket:use")
    for _ in range(2):
        answer = key.get("/api/v1/accounts/shop/js-ticket/")
        assert (answer.status_code, answer.json()["code"]) == (503, "wechat_unavailable")
        assert int(answer["Retry-After"]) > 0
    at_wechat.is_certified = True
    assert SharedJsTicket.objects.get().failures == 1
    SharedJsTicket.objects.update(next_attempt_at=None)
    assert key.get("/api/v1/accounts/shop/js-ticket/").status_code == 200


def test_a_change_of_the_account_ends_the_pause(shop, at_wechat):
    at_wechat.is_certified = False
    with pytest.raises(NotPermitted):
        lend_js_ticket(shop)
    at_wechat.is_certified = True
    with pytest.raises(Paused):
        lend_js_ticket(shop)
    shop.save()
    assert lend_js_ticket(shop).value == SharedJsTicket.objects.get().ticket
    assert SharedJsTicket.objects.get().failed_at is None


def test_a_page_of_an_allowed_host_is_signed(shop, at_wechat):
    OfficialAccount.objects.update(js_hosts="shop.example.com\nwww.example.com")
    key = with_key("js-config:use")
    config = key.get("/api/v1/accounts/shop/js-config/", {"url": f"{PAGE}#here"}).json()
    ticket = SharedJsTicket.objects.get().ticket
    signed = (
        f"jsapi_ticket={ticket}&noncestr={config['nonceStr']}"
        f"&timestamp={config['timestamp']}&url={PAGE}"
    )
    assert config["signature"] == hashlib.sha1(signed.encode()).hexdigest()
    assert config["appId"] == shop.app_id
    assert ticket not in str(config)
    for url in (
        *("", "https://evil.example/", "https://shop.example.com.evil.example/", "ftp://[/"),
        *("https://evil.example/?shop.example.com", "javascript://shop.example.com/"),
    ):
        assert key.get("/api/v1/accounts/shop/js-config/", {"url": url}).status_code == 400, url


def test_each_needs_its_scope_which_administrators_alone_give(shop, at_wechat):
    assert not set(USES) & {*READ_SCOPES, *WRITE_SCOPES}
    others = with_key(*(scope for scope in SCOPES if scope not in USES))
    names = ("access-token", "js-ticket", "js-config")
    for scope in USES:
        key = with_key(scope)
        answers = {
            name: key.get(f"/api/v1/accounts/shop/{name}/", {"url": PAGE}).status_code
            for name in names
        }
        own = scope.partition(":")[0]
        assert answers.pop(own) in {200, 400}
        assert set(answers.values()) == {403}
        assert others.get(f"/api/v1/accounts/shop/{own}/").status_code == 403
    rights = {"events.use_access_token", "events.use_js_ticket"}
    assert [key for key, role in ROLES.items() if rights & role.permissions] == ["administrator"]
    assert rights <= ROLES["administrator"].permissions


def test_an_account_that_the_key_does_not_see_is_not_there(shop, at_wechat):
    user = User.objects.create_superuser("root")
    other = OfficialAccount.objects.create(slug="hats", name="Hats", security_mode="plaintext")
    _, text = ApiKey.issue(user=user, scopes=list(USES), accounts=[other])
    key = Client(headers={"Authorization": f"Bearer {text}"})
    assert key.get("/api/v1/accounts/shop/access-token/").status_code == 404


@pytest.mark.any_database
def test_names_of_hosts():
    validate_hosts("shop.example.com\nx-1.example")
    for wrong in ("https://shop.example.com", "shop.example.com/x", "-a.example", "a..b", "a_b"):
        with pytest.raises(ValidationError):
            validate_hosts(wrong)

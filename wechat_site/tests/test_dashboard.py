from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models import EventLog, MenuVersion
from events.testing import make_account, message_xml, push
from subscribers.models import Subscriber
from wechat_site.admin.dashboard import _accounts

pytestmark = pytest.mark.django_db

DASHBOARD = "/admin/"


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


def midnight(account, days_ago=0):
    """The beginning of a business day of the account, in Unix seconds."""
    today = timezone.now().astimezone(account.zone).replace(hour=0, minute=0, second=0)
    return int((today - datetime.timedelta(days=days_ago)).timestamp())


def figures(response):
    return [(period.new, period.cancelled, period.net) for period in response.context["periods"]]


def store(account, number, **columns):
    now = timezone.now()
    defaults = {
        "kind": "event.click", "openid": "o1", "event_time": now, "received_at": now,
        "last_delivered_at": now, "dedup_key": f"{number:032x}", "raw": b"<xml/>",
        "status": "processed",
    }  # fmt: skip
    return EventLog.objects.create(account=account, **(defaults | columns))


def test_people_are_counted_once_in_each_period(operator, account):
    moments = [
        midnight(account),
        midnight(account, 3),
        midnight(account, 20),
        midnight(account, 40),
    ]
    for number, at in enumerate(moments):
        push(account, message_xml(openid=f"o{number}", at=at))
    # One leaves and comes back, another leaves: two acts of one person count as one person each.
    push(account, message_xml("event.unsubscribe", openid="o3", at=midnight(account) + 1))
    push(account, message_xml(openid="o3", at=midnight(account) + 2))
    push(account, message_xml("event.unsubscribe", openid="o2", at=midnight(account, 2)))
    response = operator.get(DASHBOARD)
    assert response.context["followers"] == 3
    assert figures(response) == [(2, 1, 1), (3, 2, 1), (4, 2, 2)]


def test_a_day_begins_when_it_begins_for_the_account(operator):
    account = make_account(time_zone="Pacific/Kiritimati")
    other = make_account("other", time_zone="Pacific/Pago_Pago")
    push(account, message_xml(openid="before", at=midnight(account) - 1))
    push(account, message_xml(openid="after", at=midnight(account)))
    push(other, message_xml(openid="there", at=midnight(other) - 1))
    assert figures(operator.get(DASHBOARD, {"account": "shop"}))[0] == (1, 0, 1)
    assert figures(operator.get(DASHBOARD, {"account": "other"}))[0] == (0, 0, 0)


def test_one_account_or_all_together(operator, account):
    other = make_account("other", name="Morning News")
    push(account, message_xml(openid="o1"))
    push(other, message_xml(openid="o2"))
    push(other, message_xml(openid="o3"))
    response = operator.get(DASHBOARD)
    assert (response.context["followers"], len(response.context["latest"])) == (3, 3)
    response = operator.get(DASHBOARD, {"account": "other"})
    assert response.context["followers"] == 2
    assert {event["openid"] for event in response.context["latest"]} == {"o2", "o3"}
    assert operator.get(DASHBOARD, {"account": "nonsense"}).context["followers"] == 3


def test_nothing_is_counted_over_the_log_and_every_question_is_bounded(operator, account):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(DASHBOARD).status_code == 200
        return [query["sql"] for query in queries.captured_queries]

    push(account, message_xml())
    store(account, 1)
    few = statements()
    for number in range(2, 60):
        store(account, number)
    many = statements()
    of_log = [sql for sql in many if 'FROM "events_eventlog"' in sql]
    assert len(many) == len(few)
    assert of_log
    # The kinds that occur are found by the smallest after each one, as a test of plans makes sure.
    bounds = ("LIMIT", "MIN(KIND)")
    assert not [
        sql
        for sql in of_log
        if "COUNT(" in sql.upper() or not any(bound in sql.upper() for bound in bounds)
    ]


def test_what_needs_attention_is_counted_up_to_a_bound_and_linked(operator, account):
    for number in range(120):
        store(account, number, status="dead")
    store(account, 200, status="set_aside")
    store(account, 201)
    attention = operator.get(DASHBOARD).context["attention"]
    assert [(item["status"], item["number"]) for item in attention] == [
        ("given up", "99+"),
        ("quarantined", "1"),
    ]
    log = reverse("admin:events_eventlog_changelist")
    assert attention[0]["url"] == f"{log}?status=dead"
    (link,) = {
        item["url"]
        for item in operator.get(DASHBOARD, {"account": "shop"}).context["attention"]
        if item["number"] == "1"
    }
    assert len(operator.get(link).context["cl"].result_list) == 1
    assert "account=shop" in link


def test_unknown_kinds_are_named_and_linked(operator, account):
    store(account, 1)
    event = store(account, 2, kind="event.from_the_future")
    ((kind, url),) = operator.get(DASHBOARD).context["unknown_kinds"]
    assert kind == "event.from_the_future"
    assert list(operator.get(url).context["cl"].result_list) == [event]


def test_every_account_says_when_its_last_event_came(operator, account):
    now = timezone.now()
    make_account("silent", name="Silent")
    make_account("off", name="Off", is_active=False)
    make_account("half", name="Half", token="")
    store(account, 1, event_time=now - datetime.timedelta(hours=3))
    # A push dated 2100 is set aside and must not look like a sign of life for decades.
    store(account, 2, event_time=now + datetime.timedelta(days=9999), status="set_aside")
    response = operator.get(DASHBOARD)
    states = {
        item["name"]: (item["state"], item["last_event_at"])
        for item in response.context["callbacks"]
    }
    assert states == {
        "Spruce Books": ("", now - datetime.timedelta(hours=3)),
        "Silent": ("", None),
        "Off": ("inactive", None),
        "Half": ("no token is set", None),
    }
    text = re.sub(r"\s+", " ", response.content.decode().replace("\xa0", " "))
    assert "last event 3 hours ago" in text
    assert "no event yet" in text


def test_the_last_event_of_a_silent_account_is_found_by_an_index_that_begins_with_it(account):
    """Through the other one by time, ten million events of others take seconds."""
    store(account, 1)
    with CaptureQueriesContext(connection) as captured:
        _accounts(timezone.now())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A partition of one row is quicker read whole, or sorted; a real one is not.
            for other in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{other} = off")
            # The index on account and time, or the unique key, which begins like it.
            explain, index = "EXPLAIN", r"account_id_event_time_(dedup_key_key|idx)"
        else:
            explain, index = "EXPLAIN QUERY PLAN", r"event_account_time|autoindex_events_eventlog"
        cursor.execute(f"{explain} {captured[0]['sql']}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert len(re.findall(index, plan)) >= 3, plan
    by_time_alone = r"event_by_time|(?<!account_id_)event_time_id_idx"
    assert not re.search(rf"{by_time_alone}|Seq Scan on events_eventlog", plan), plan
    assert not re.search(r"\bSort  ?\(|TEMP B-TREE", plan), plan


def test_what_wechat_was_asked_is_no_sign_of_life_of_its_pushes(operator, account):
    def last_event_at():
        (item,) = operator.get(DASHBOARD).context["callbacks"]
        return item["last_event_at"]

    now = timezone.now()
    store(account, 1, event_time=now, kind="import.follower", source="import")
    assert last_event_at() is None
    store(account, 2, event_time=now - datetime.timedelta(hours=3))
    assert last_event_at() == now - datetime.timedelta(hours=3)


def test_operators_see_what_they_may_see(client, account):
    push(account, message_xml(openid="oSomebody"))
    user = User.objects.create_user("clerk", is_staff=True)
    client.force_login(user)
    page = client.get(DASHBOARD)
    assert page.status_code == 200
    assert "oSomebody" not in page.content.decode()
    for figure in ("followers", "periods", "latest", "attention", "unknown_kinds"):
        assert figure not in page.context
    assert page.context["callbacks"] == []
    user.user_permissions.add(Permission.objects.get(codename="view_subscriber"))
    page = client.get(DASHBOARD)
    assert page.context["followers"] == 1
    assert "oSomebody" not in page.content.decode()


def test_an_empty_site_says_how_to_begin(operator):
    assert "Add an Official Account" in operator.get(DASHBOARD).content.decode()


def test_the_live_part_is_refreshed_by_a_script_of_our_own(operator, account):
    page = operator.get(DASHBOARD)
    assert 'id="dashboard-live"' in page.content.decode()
    assert "wechat_site/live.js" in page.content.decode()
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_of_the_admin_opens_in_both_languages(operator, account, language):
    operator.cookies["django_language"] = language
    push(account, message_xml())
    Group.objects.create(name="Operators")
    for model in ("eventlog", "officialaccount", "replyrule", "apikey"):
        assert operator.get(reverse(f"admin:events_{model}_changelist")).status_code == 200
    for model in ("subscriber", "qrscene", "binding", "bindingrequest", "bindingscan"):
        assert operator.get(reverse(f"admin:subscribers_{model}_changelist")).status_code == 200
    for row in (User.objects.get(), Group.objects.get(), Subscriber.objects.get(), account):
        meta = row._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        assert operator.get(url).status_code == 200


def test_signing_in_leads_to_the_dashboard(client):
    User.objects.create_superuser("operator", password="a password")
    form = {"username": "operator", "password": "a password"}
    page = client.get(DASHBOARD, follow=True)
    assert client.post(page.request["PATH_INFO"], form).headers["Location"] == DASHBOARD


def test_the_latest_events_name_menu_entries(operator, account):
    menu = {"button": [{"type": "click", "name": "我的订单", "key": "MENU_MY_ORDERS"}]}
    MenuVersion.objects.create(account=account, menu=menu, published_at=timezone.now(), due_at=None)
    push(account, message_xml("event.CLICK", EventKey="MENU_MY_ORDERS"))
    shown = operator.get(DASHBOARD).content.decode()
    assert "我的订单 <small>(former)</small>" in shown
    assert "MENU_MY_ORDERS" in shown

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models import EventLog, LiveMenu, MenuVersion
from events.stats.update import update_statistics
from events.testing import make_account, message_xml, push
from subscribers.binding.bind import start_binding
from subscribers.models import (
    Binding,
    BindingRequest,
    BindingScan,
    Conversation,
    Erasure,
    QRScene,
    Subscriber,
)
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure

pytestmark = pytest.mark.django_db

FOLLOWER = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"


@pytest.fixture
def account():
    return make_account(name="Spruce Books", app_secret="0" * 32)


@pytest.fixture
def li():
    return User.objects.create_user("li.wei")


def listing(model):
    return reverse(f"admin:subscribers_{model._meta.model_name}_changelist")


def page_of(row):
    return reverse(f"admin:subscribers_{row._meta.model_name}_change", args=[row.pk])


def listed(response):
    return [row.pk for row in response.context["cl"].result_list]


def follow(account, openid=FOLLOWER, scene=""):
    key = f"qrscene_{scene}" if scene else ""
    push(account, message_xml("event.subscribe", openid=openid, EventKey=key))
    return Subscriber.objects.get(account=account, openid=openid)


def bind(account, user, openid=FOLLOWER):
    """A follower bound by scanning; returns the scene, which is a secret no more."""
    scene = start_binding(account=account, user=user).scene
    push(account, message_xml("event.SCAN", openid=openid, EventKey=scene, Ticket="gQTICKET"))
    return scene


# --- Followers ---------------------------------------------------------------------------------


def test_a_page_of_followers_costs_the_same_however_many_there_are(operator, account):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(listing(Subscriber)).status_code == 200
        return [query["sql"] for query in queries.captured_queries]

    follow(account)
    statements()  # the first look of an hour is recorded
    few = statements()
    now = timezone.now()
    Subscriber.objects.bulk_create(
        Subscriber(account=account, openid=f"o{number}", updated_at=now) for number in range(120)
    )
    many = statements()
    # One asks what the accounts may not call; on PostgreSQL, three are the time limit of the
    # segments' counts.
    assert len(many) == len(few) <= 12
    assert not [sql for sql in many if "COUNT(" in sql.upper() or "OFFSET" in sql.upper()]


def test_followers_are_found_by_what_they_are(operator, account, li):
    other = make_account("other")
    bound = follow(account, "oBound", scene="poster")
    bind(account, li, "oBound")
    left = follow(account, "oLeft")
    push(account, message_xml("event.unsubscribe", openid="oLeft"))
    there = follow(other, "oThere")
    for query, found in (
        ({"q": "oLeft"}, [left]),
        ({"q": "oL"}, []),
        ({"q": "poster"}, [bound]),
        ({"q": "li.wei"}, [bound]),
        ({"account": "other"}, [there]),
        ({"following": "no"}, [left]),
        ({"following": "yes"}, [there, bound]),
        ({"bound": "yes"}, [bound]),
        ({"bound": "no"}, [there, left]),
    ):
        rows = listed(operator.get(listing(Subscriber), query))
        assert rows == [row.pk for row in found], query


def test_the_page_of_a_follower_shows_facts_bindings_and_latest_events(operator, account, li):
    follower = follow(account, scene="poster")
    scene = bind(account, li)
    event = EventLog.objects.latest("id")
    page = operator.get(page_of(follower)).content.decode()
    local = follower.last_followed_at.astimezone(account.zone)
    assert f"{local:%Y-%m-%d %H:%M:%S}" in page
    assert "poster" in page
    assert "<td>li.wei</td>" in page
    assert reverse("admin:events_eventlog_change", args=[event.pk]) in page
    assert f"{reverse('admin:events_eventlog_changelist')}?q={FOLLOWER}" in page
    assert scene not in page
    assert "gQTICKET" not in page


@pytest.mark.parametrize("view", ["change", "delete"])
def test_a_follower_cannot_be_written(operator, account, view):
    follower = follow(account)
    url = reverse(f"admin:subscribers_subscriber_{view}", args=[follower.pk])
    assert operator.post(url, {"post": "yes", "openid": "o"}).status_code == 403
    assert Subscriber.objects.get().openid == FOLLOWER


def test_the_followers_page_names_the_menu_entries_that_were_tapped(operator, account):
    menu = {"button": [{"type": "click", "name": "我的订单", "key": "MENU_MY_ORDERS"}]}
    version = MenuVersion.objects.create(
        account=account, menu=menu, published_at=timezone.now(), due_at=None
    )
    LiveMenu.objects.create(account=account, version=version)
    subscriber = follow(account)
    push(account, message_xml("event.CLICK", openid=FOLLOWER, EventKey="MENU_MY_ORDERS"))
    shown = " ".join(operator.get(page_of(subscriber)).content.decode().split())
    assert '<span class="menu-name">我的订单</span> MENU_MY_ORDERS' in shown


# --- Binding -----------------------------------------------------------------------------------


def test_a_request_is_made_for_oneself_and_its_scene_is_not_shown(operator, account, li):
    form = {"account": account.pk, "user": li.pk}
    add = reverse("admin:subscribers_bindingrequest_add")
    page = operator.post(add, form, follow=True).content.decode()
    request = BindingRequest.objects.get()
    assert request.user.is_superuser, "the operator's own"
    assert request.scene not in page
    for url in (listing(BindingRequest), page_of(request)):
        page = operator.get(url).content.decode()
        assert request.user.username in page
        assert request.scene not in page
        assert request.scene_digest not in page


def test_a_second_request_of_a_user_withdraws_the_first(operator, account, li):
    form = {"account": account.pk, "user": li.pk}
    for _ in range(2):
        operator.post(reverse("admin:subscribers_bindingrequest_add"), form)
    newest, oldest = BindingRequest.objects.order_by("-pk")
    assert (newest.state, oldest.refused_reason) == ("waiting", "withdrawn")


def test_an_operator_ends_a_binding_and_its_history_stays(operator, account, li):
    follow(account)
    bind(account, li)
    binding = Binding.objects.get()
    choice = {"action": "unbind", "_selected_action": [binding.pk]}
    page = operator.post(listing(Binding), choice, follow=True).content.decode()
    assert "1 binding ended." in page
    ended_at = Binding.objects.get().unbound_at
    assert ended_at is not None
    operator.post(listing(Binding), choice)
    assert Binding.objects.get().unbound_at == ended_at


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_binding_of_somebody_who_left_is_marked_dormant(operator, account, li, language):
    operator.cookies["django_language"] = language
    follow(account)
    bind(account, li)
    assert "bg-green-100" in operator.get(listing(Binding)).content.decode()
    push(account, message_xml("event.unsubscribe", at=int(timezone.now().timestamp()) + 5))
    page = operator.get(listing(Binding)).content.decode()
    assert "bg-blue-100" in page
    assert "bg-green-100" not in page


def test_refused_scans_are_listed_with_their_reason(operator, account, li):
    scene = bind(account, li)
    push(account, message_xml("event.SCAN", openid="oStranger", EventKey=scene))
    page = operator.get(listing(BindingScan), {"outcome__exact": "refused"})
    (scan,) = page.context["cl"].result_list
    assert (scan.subscriber.openid, scan.refused_reason) == ("oStranger", "used")
    assert "the code was already used" in page.content.decode()
    assert scene not in page.content.decode()


@pytest.mark.parametrize("model", [Binding, BindingScan])
def test_what_happened_cannot_be_written(operator, account, li, model):
    bind(account, li)
    row = model.objects.get()
    name = model._meta.model_name
    assert operator.get(page_of(row)).status_code == 200
    for url in (
        reverse(f"admin:subscribers_{name}_add"),
        page_of(row),
        reverse(f"admin:subscribers_{name}_delete", args=[row.pk]),
    ):
        assert operator.post(url, {"post": "yes"}).status_code == 403
    assert model.objects.exists()


@pytest.mark.parametrize("model", [Binding, BindingRequest, BindingScan])
def test_lists_of_bindings_cost_the_same_however_long(operator, account, model):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(listing(model)).status_code == 200
        return [query["sql"] for query in queries.captured_queries]

    for number in range(5):
        if number == 1:
            statements()  # the first look of an hour is recorded
            few = statements()
        bind(account, User.objects.create_user(f"user{number}"), f"o{number}")
    many = statements()
    assert len(many) == len(few)
    assert not [sql for sql in many if "COUNT(" in sql.upper() or "OFFSET" in sql.upper()]


def test_a_followers_page_names_the_codes(operator, account):
    QRScene.objects.create(
        account=account, scene="shop-1", name="Shop one", ticket="t", due_at=None
    )
    now = int(timezone.now().timestamp())
    for at, kind, key in (
        (now - 60, "event.subscribe", "qrscene_shop-1"),
        (now, "event.SCAN", "elsewhere"),
    ):
        push(account, message_xml(kind, openid=FOLLOWER, at=at, EventKey=key))
    page = operator.get(page_of(Subscriber.objects.get())).content.decode()
    shown = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "First channel Shop one (shop-1) Last channel elsewhere" in shown
    # The conversation, the latest events, and the inbox with its list of them.
    assert shown.count("Shop one (shop-1)") == 3
    push(account, message_xml("text", openid=FOLLOWER, at=now, Content="hello", MsgId=1))
    update_statistics()
    talk = Conversation.objects.get()
    inbox = operator.get(reverse("admin:subscribers_conversation_change", args=[talk.pk]))
    assert inbox.content.decode().count("Shop one (shop-1)") == 2


def test_lists_of_events_name_the_codes(operator, account):
    for scene, name in (("shop-1", "Shop one"), ("plain", "plain")):
        QRScene.objects.create(account=account, scene=scene, name=name, ticket="t", due_at=None)
    for number, scene in enumerate(("shop-1", "plain", "elsewhere")):
        push(account, message_xml("event.SCAN", openid=f"o{number}", EventKey=scene))
    event = EventLog.objects.get(scene="shop-1")
    for address in (
        reverse("admin:events_eventlog_changelist"),
        reverse("admin:events_eventlog_change", args=[event.pk]),
        reverse("admin:index"),
    ):
        page = operator.get(address).content.decode()
        shown = " ".join(re.sub(r"<[^>]+>", "", page).split())
        assert "Shop one (shop-1)" in shown
        assert "(plain)" not in shown


def test_a_person_whose_data_was_erased_is_marked(operator, account):
    push(account, message_xml("event.subscribe", openid=FOLLOWER))
    erase(request_erasure(account, FOLLOWER, reason=Erasure.Reason.REQUESTED))
    follower = Subscriber.objects.get()
    for address in (reverse("admin:subscribers_subscriber_changelist"), page_of(follower)):
        assert "following (erased)" in operator.get(address).content.decode()


def test_the_list_names_channels_and_finds_who_may_be_answered(client):
    client.force_login(User.objects.create_superuser("lister"))
    shop, now = make_account("lists"), timezone.now()
    QRScene.objects.create(account=shop, scene="shop-1", name="Shop one", ticket="t", due_at=None)
    open_, wrote, _silent = Subscriber.objects.bulk_create(
        Subscriber(
            account=shop, openid=f"oList{n}", remark=f"Remark {n}", first_scene="shop-1",
            last_followed_at=now, updated_at=now,
        )
        for n in range(3)
    )  # fmt: skip
    for person, hours in ((open_, 4), (wrote, -4)):
        until = now + datetime.timedelta(hours=hours)
        Conversation.objects.create(
            account=shop, subscriber=person, last_at=now, window_until=until
        )
    page = client.get("/admin/subscribers/subscriber/?account=lists")
    assert "Shop one" in page.content.decode()
    assert "Remark 2" in page.content.decode()
    for chosen, found in (("open", [open_]), ("wrote", [wrote, open_])):
        page = client.get(f"/admin/subscribers/subscriber/?account=lists&window={chosen}")
        assert [row.pk for row in page.context["cl"].result_list] == [row.pk for row in found]

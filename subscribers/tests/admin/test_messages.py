"""Messages in the admin and the API."""

from __future__ import annotations

import dataclasses
import datetime
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from events.answering.publish_rules import publish
from events.media.lend import message_of_file
from events.models import ApiKey, EventLog, MediaFile, MenuVersion
from events.testing import make_account, make_rule, message_xml, push
from events.wechat.api.custom_messages import (
    ChoiceMessage,
    MiniProgramMessage,
    MusicMessage,
    NewsMessage,
    TextMessage,
)
from subscribers.api.message_serializers import NewMessageSerializer
from subscribers.binding.bind import start_binding
from subscribers.messages.conversation import conversation_with
from subscribers.messages.send import send_message
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.models.outgoing_message import _CLASSES, MESSAGE_KINDS

pytestmark = pytest.mark.django_db

FOLLOWER = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
LIST = "/admin/subscribers/outgoingmessage/"


@pytest.fixture
def account():
    return make_account(name="Spruce Books", app_secret="0" * 32)


@pytest.fixture
def subscriber(account):
    push(account, message_xml("text", Content="Are you open?", MsgId=1))
    return Subscriber.objects.get()


def page_of(subscriber):
    return reverse("admin:subscribers_subscriber_change", args=[subscriber.pk])


def write_url(subscriber):
    return reverse("admin:subscribers_subscriber_write", args=[subscriber.pk])


def end(**columns):
    now = timezone.now()
    defaults = {"state": "failed", "failure": "busy", "failed_at": now, "due_at": None}
    OutgoingMessage.objects.update(**(defaults | columns))


# --- The follower's page -----------------------------------------------------------------------


def test_both_sides_are_shown_in_order_with_the_window(operator, account, subscriber):
    send_message(subscriber, TextMessage("Until <ten>."), by=User.objects.get())
    page = operator.get(page_of(subscriber)).content.decode()
    assert page.index("Are you open?") < page.index("Until &lt;ten&gt;.")
    assert "4 of 5 are left" in page
    assert "47\xa0hours" in page or "1\xa0day 23\xa0hours" in page


def test_a_follow_by_a_code_shows_the_scene_as_its_list_does(operator, account, subscriber):
    push(account, message_xml("event.subscribe", EventKey="qrscene_metro", Ticket="t"))
    page = operator.get(page_of(subscriber)).content.decode()
    conversation = page[page.index('id="conversation"') :]
    assert "metro" in conversation
    assert "qrscene_" not in conversation


def test_a_link_card_is_shown_with_its_title_words_and_address(operator, account, subscriber):
    url = "https://www.example.com/rules?a=1&b=2"
    card = {"Title": "Rules <spring>", "Description": "Times & places", "MsgId": 2}
    push(account, message_xml("link", Url=url, **card))
    page = operator.get(page_of(subscriber)).content.decode()
    assert 'href="https://www.example.com/rules?a=1&amp;b=2" target="_blank"' in page
    assert ">Rules &lt;spring&gt;</a>" in page
    assert "<p>Times &amp; places</p>" in page


def test_a_link_card_leads_only_to_web_pages(operator, account, subscriber):
    push(account, message_xml("link", Title="Look", Url="javascript:alert(1)", MsgId=2))
    page = operator.get(page_of(subscriber)).content.decode()
    assert "<b>Look</b>" in page
    assert "javascript:alert" not in page


def test_a_person_who_left_is_told_from_one_who_never_followed():
    past = timezone.now()
    assert Subscriber(is_following=False, last_unfollowed_at=past).follow_status == "unfollowed"
    assert Subscriber(is_following=False).follow_status == "not following"


def test_what_opened_a_window_is_shown_with_the_name_of_the_menu_entry(
    operator, account, subscriber
):
    menu = {"button": [{"type": "click", "name": "<我的订单>", "key": "MENU_MY_ORDERS"}]}
    MenuVersion.objects.create(account=account, menu=menu, published_at=timezone.now(), due_at=None)
    make_rule(account, "event.click", content="Two orders.")
    push(account, message_xml("event.CLICK", EventKey="MENU_MY_ORDERS"))
    push(account, message_xml("event.SCAN", EventKey="spring", CreateTime=1_700_000_100))
    push(account, message_xml("event.VIEW", EventKey="https://www.example.com/not-said"))
    page = operator.get(page_of(subscriber)).content.decode()
    conversation = " ".join(
        re.sub(r"<[^>]+>", " ", page[page.index('id="conversation"') :]).split()
    )
    for text in (
        "menu click &lt;我的订单&gt; (former) MENU_MY_ORDERS",
        "Two orders.",
        "QR scan spring",
    ):
        assert text in conversation
    assert "not-said" not in conversation


def test_a_conversation_shows_no_code_to_bind_with(operator, account, subscriber):
    scene = start_binding(account=account, user=User.objects.create_user("wang.fang")).scene
    push(account, message_xml("event.SCAN", EventKey=scene, Ticket="gQH47jwAAAAAAAAA"))
    page = operator.get(page_of(subscriber)).content.decode()
    assert "QR scan" in page[page.index('id="conversation"') :]
    assert scene not in page
    assert "gQH47jwAAAAAAAAA" not in page


def test_a_passive_reply_is_part_of_it_unless_it_came_too_late(operator, account):
    make_rule(account, "text", content="Automatic answer")
    push(account, message_xml("text", Content="x", MsgId=2))
    subscriber = Subscriber.objects.get()
    assert "Automatic answer" in operator.get(page_of(subscriber)).content.decode()
    EventLog.objects.update(answered_at=None, answered_by=EventLog.AnsweredBy.NONE)
    assert "Automatic answer" not in operator.get(page_of(subscriber)).content.decode()


def test_the_scene_of_a_binding_stays_masked(operator, account, subscriber):
    scene = start_binding(account=account, user=User.objects.create_user("li")).scene
    push(account, message_xml("text", Content=f"my code is {scene}", MsgId=3))
    page = operator.get(page_of(subscriber)).content.decode()
    assert "my code is" in page
    assert scene not in page


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"kind": "text", "content": "您好"}, TextMessage("您好")),
        (
            {"kind": "news", "title": "T", "url": "https://x.example/", "content": "left over"},
            NewsMessage,
        ),
        ({"kind": "msgmenu", "head": "OK?", "choices": "yes\n\nno"}, ChoiceMessage),
        # As a browser sends it.
        ({"kind": "text", "content": "a\r\nb"}, TextMessage("a\nb")),
    ],
)
def test_an_operator_writes(operator, subscriber, form, message):
    response = operator.post(write_url(subscriber), form)
    assert response.status_code == 302
    row = OutgoingMessage.objects.get()
    assert (row.created_by.username, row.state) == ("operator", "queued")
    if isinstance(message, type):
        assert isinstance(row.message, message)
    else:
        assert row.message == message
    if form["kind"] == "msgmenu":
        assert [(c.id, c.content) for c in row.message.choices] == [("1", "yes"), ("2", "no")]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"kind": "text"}, "required"),
        ({"kind": "text", "content": "字" * 700}, "2048 bytes"),
        ({"kind": "image"}, "required"),
        ({"kind": "news", "title": "T", "url": "javascript:alert(1)"}, "valid URL"),
        (
            {"kind": "msgmenu", "head": "Q", "choices": "\n".join("abcdefghijk")},
            "At most ten answers",
        ),
        ({"kind": "fax"}, "valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(operator, subscriber, form, said):
    response = operator.post(write_url(subscriber), form)
    assert response.status_code == 200
    page = response.content.decode()
    assert said in page
    for value in form.values():
        assert value in page or form["kind"] in {"fax"}
    assert not OutgoingMessage.objects.exists()


def test_a_closed_window_shows_the_reason_and_no_form(operator, account, subscriber):
    EventLog.objects.update(event_time=timezone.now() - datetime.timedelta(hours=49))
    page = operator.get(page_of(subscriber)).content.decode()
    assert "done nothing lately" in page
    assert "message-form" not in page
    response = operator.post(write_url(subscriber), {"kind": "text", "content": "too late"})
    assert "done nothing lately" in response.content.decode()
    assert "too late" in response.content.decode()
    assert not OutgoingMessage.objects.exists()


def test_rights(client, subscriber):
    def allow(*names):
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(User.objects.get(pk=user.pk))

    user = User.objects.create_user("clerk", is_staff=True)
    allow("view_subscriber")
    page = client.get(page_of(subscriber)).content.decode()
    assert "Are you open?" not in page
    allow("view_subscriber", "view_outgoingmessage", "view_eventlog")
    assert "Are you open?" not in client.get(page_of(subscriber)).content.decode()
    allow("view_subscriber", "view_outgoingmessage", "view_eventlog", "view_message_contents")
    page = client.get(page_of(subscriber)).content.decode()
    assert "Are you open?" in page
    assert "message-form" not in page
    form = {"kind": "text", "content": "x"}
    assert client.post(write_url(subscriber), form).status_code == 404
    send_message(subscriber, TextMessage("x"))
    end()
    again = reverse("admin:subscribers_outgoingmessage_try_this_again", args=[1])
    choice = {"action": "try_again", "_selected_action": [OutgoingMessage.objects.get().pk]}
    client.post(LIST, choice)
    client.post(again.replace("/1/", f"/{OutgoingMessage.objects.get().pk}/"))
    assert OutgoingMessage.objects.get().state == "failed"
    allow("add_outgoingmessage")
    assert client.get(write_url(subscriber)).status_code == 404
    assert client.post(write_url(subscriber), form).status_code == 404
    allow("view_subscriber", "add_outgoingmessage")
    assert client.post(write_url(subscriber), form).status_code == 302


# --- The list ----------------------------------------------------------------------------------


def test_the_list_is_filtered_and_searched(operator, account, subscriber):
    for content in ("first", "second"):
        send_message(subscriber, TextMessage(content))
    OutgoingMessage.objects.filter(payload__content="second").update(
        state="failed", failure="busy", failed_at=timezone.now(), due_at=None
    )
    for query, found in [
        ({}, 2), ({"state": "queued"}, 1), ({"state": "failed"}, 1), ({"state": "sent"}, 0),
        ({"failure": "busy"}, 1), ({"failure": "killed"}, 0), ({"q": FOLLOWER}, 2),
        ({"q": "oNobody"}, 0), ({"account": "shop"}, 2), ({"account": "other"}, 0),
    ]:  # fmt: skip
        response = operator.get(LIST, query)
        assert len(response.context["cl"].result_list) == found, query


@pytest.mark.parametrize(
    ("message", "words", "name"),
    [
        (MusicMessage("m"), "music (音乐)", "music"),
        (MiniProgramMessage("t", "wx", "p", "m"), "mini program card", "miniprogrampage"),
    ],
)
def test_what_rules_send_is_named_in_words(operator, subscriber, message, words, name):
    send_message(subscriber, message)
    sent = OutgoingMessage.objects.get()
    assert sent.kind == name
    page = reverse("admin:subscribers_outgoingmessage_change", args=[sent.pk])
    for address in (LIST, page_of(subscriber), page):
        assert words in operator.get(address).content.decode(), address


def test_a_passive_reply_that_is_no_text_is_named_in_words(operator, account):
    rule = make_rule(account, "event.click", "ORDERS")
    rule.answers = [{"kind": "image", "media_id": "at-wechat"}]
    rule.save()
    publish(account.pk, user=None)
    push(account, message_xml("event.CLICK", EventKey="ORDERS"))
    with translation.override("zh-hans"):
        _tap, reply = conversation_with(Subscriber.objects.get())
    assert reply.text == "图片"


@pytest.mark.parametrize("page", ["list", "conversation"])
def test_a_page_costs_the_same_however_many_messages_it_has(operator, account, subscriber, page):
    address = LIST if page == "list" else page_of(subscriber)

    def send(title):
        picture = MediaFile.objects.create(
            account=account, kind="image", title=title, file="x.png", size=1, due_at=None
        )
        send_message(subscriber, message_of_file(picture))

    def statements():
        with CaptureQueriesContext(connection) as queries:
            content = operator.get(address).content.decode()
        return content, [query["sql"] for query in queries.captured_queries]

    send("Opening hours")
    statements()  # the first look of an hour is recorded
    _content, few = statements()
    for number in range(4):
        send(f"Shelf {number}")
    content, many = statements()
    assert "Opening hours" in content
    assert "Shelf 3" in content
    assert len(many) == len(few)
    if page == "list":
        assert not [sql for sql in many if "COUNT(" in sql.upper() or "OFFSET" in sql.upper()]


def test_failed_ones_are_tried_again_together_and_unknown_ones_one_by_one(operator, subscriber):
    for _ in range(2):
        send_message(subscriber, TextMessage("x"))
    first, second = OutgoingMessage.objects.order_by("pk")
    end()
    OutgoingMessage.objects.filter(pk=second.pk).update(
        state="unknown", failure="killed", sent_at=timezone.now()
    )
    choice = {"action": "try_again", "_selected_action": [first.pk, second.pk]}
    page = operator.post(LIST, choice, follow=True).content.decode()
    assert "1 message queued." in page
    assert "one by one" in page
    again = reverse("admin:subscribers_outgoingmessage_try_this_again", args=[second.pk])
    assert "a second time" in operator.get(again).content.decode()
    assert OutgoingMessage.objects.get(pk=second.pk).state == "unknown"
    operator.post(again)
    assert set(OutgoingMessage.objects.values_list("state", flat=True)) == {"queued"}


def test_trying_again_says_when_it_is_too_late(operator, subscriber):
    send_message(subscriber, TextMessage("x"))
    end()
    EventLog.objects.update(event_time=timezone.now() - datetime.timedelta(hours=49))
    message = OutgoingMessage.objects.get()
    again = reverse("admin:subscribers_outgoingmessage_try_this_again", args=[message.pk])
    assert "done nothing lately" in operator.post(again, follow=True).content.decode()
    assert OutgoingMessage.objects.get().state == "failed"


# --- The API -----------------------------------------------------------------------------------


@pytest.fixture
def api(client, db):
    user = User.objects.create_superuser("system")
    scopes = ["messages:read", "messages:write"]
    _, key = ApiKey.issue(user=user, scopes=scopes)
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {key}"
    return client


def post(api, **change):
    body = {
        "account": "shop", "openid": FOLLOWER, "kind": "text", "payload": {"content": "您好"},
    }  # fmt: skip
    return api.post("/api/v1/messages/", body | change, content_type="application/json")


def test_a_system_sends_a_message_and_reads_its_state(api, subscriber):
    response = post(api)
    assert response.status_code == 201, response.content
    made = response.json()
    assert (made["state"], made["openid"], made["event"]) == ("queued", FOLLOWER, None)
    assert OutgoingMessage.objects.get().created_by.username == "system"
    assert api.get(f"/api/v1/messages/{made['id']}/").json() == made
    assert api.get("/api/v1/messages/", {"state": "queued"}).json()["results"] == [made]
    assert api.get("/api/v1/messages/", {"state": "failed"}).json()["results"] == []
    assert api.get("/api/v1/messages/", {"status": "failed"}).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"account": "other"}, {"openid": "oNobody"}, {"openid": "\0"}, {"kind": "fax"},
        {"payload": {}}, {"payload": {"content": 7}}, {"payload": {"content": "a\0b"}},
        {"payload": {"content": "字" * 700}}, {"payload": "text"},
        {"kind": "news", "payload": {"article": "x"}},
        {"kind": "msgmenu", "payload": {"head": "Q", "choices": [], "tail": ""}},
        {"kind": "msgmenu", "payload": {"head": "Q", "choices": ["x"], "tail": ""}},
    ],
)  # fmt: skip
def test_what_is_wrong_is_400_and_queues_nothing(api, subscriber, change):
    response = post(api, **change)
    assert response.status_code == 400, response.content
    assert not OutgoingMessage.objects.exists()


def test_the_schema_says_the_fields_of_each_kind(db):
    said = {}
    for line in str(NewMessageSerializer().fields["payload"].help_text).splitlines():
        kinds, _colon, fields = line.partition(":")
        said |= dict.fromkeys(re.findall(r"`(\w+)`", kinds), fields)
    assert sorted(said) == sorted(MESSAGE_KINDS)
    for kind, text in said.items():
        needed, _also, optional = text.partition("also")
        for field in dataclasses.fields(_CLASSES[kind]):
            is_needed = field.default is dataclasses.MISSING
            assert f"`{field.name}`" in (needed if is_needed else optional), (kind, field.name)


def test_a_closed_window_is_400_with_the_reason(api, account, subscriber):
    EventLog.objects.update(event_time=timezone.now() - datetime.timedelta(hours=49))
    response = post(api)
    assert response.status_code == 400
    (refusal,) = response.json()["errors"]["openid"]
    assert refusal["code"] == "window_closed"
    assert not OutgoingMessage.objects.exists()


def test_reading_is_not_writing(api, subscriber):
    ApiKey.objects.update(scopes=["messages:read"])
    assert post(api).status_code == 403
    ApiKey.objects.update(scopes=["messages:write"])
    assert api.get("/api/v1/messages/").status_code == 403

"""Operators find what somebody said; those who may not read contents find nothing."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from events.models import EventLog, MessageText
from events.search.fill import index_texts
from events.search.index import Text, put
from events.stats.update import update_statistics
from events.testing import make_account, message_xml, push
from subscribers.messages.index import index_messages
from subscribers.models import OutgoingMessage, Subscriber
from wechat_site.tests.signin.people import browser_of, with_rights

pytestmark = pytest.mark.django_db

PAGE = "/admin/events/messagetext/"
EVENTS = "/admin/events/eventlog/"


@pytest.fixture
def account():
    shop = make_account()
    push(shop, message_xml("text", openid="oWho", Content="你没有回复我", MsgId="1"))
    update_statistics()
    index_texts()
    return shop


@pytest.fixture
def browser(account) -> Client:
    return browser_of(User.objects.create_superuser("root"))


def texts(response) -> list[str]:
    return [row.content for row in response.context["cl"].result_list]


def test_words_find_the_message_and_lead_to_its_event(browser, account):
    response = browser.get(PAGE, {"q": "没有回复"})
    assert "你没有回复我" in response.content.decode()
    (text,) = response.context["cl"].result_list
    event = EventLog.objects.get()
    assert browser.get(f"{PAGE}{text.pk}/change/").url == f"{EVENTS}{event.pk}/change/"
    assert texts(browser.get(PAGE, {"q": "没有回复", "account": "hats"})) == []
    assert texts(browser.get(PAGE, {"q": "没有回复", "days": "2020-01-01..2020-02-01"})) == []
    found = browser.get(EVENTS, {"q": "没有回复"})
    assert [row.pk for row in found.context["cl"].result_list] == [event.pk]
    assert "你没有回复我" in found.content.decode()


def test_a_number_that_is_no_events_number_is_looked_for_in_texts(browser, account):
    def found(words: str) -> list[int]:
        return [row.pk for row in browser.get(EVENTS, {"q": words}).context["cl"].result_list]

    with_number = EventLog.objects.get()
    push(account, message_xml("text", openid="oWho", Content="订单 20261123 呢", MsgId="2"))
    update_statistics()
    index_texts()
    ordered = EventLog.objects.exclude(pk=with_number.pk).get()
    assert found("20261123") == [ordered.pk]
    assert found(str(with_number.pk)) == [with_number.pk]


def test_pages_follow_each_other(browser, account):
    at = timezone.now() - datetime.timedelta(days=2)
    put([Text(account.pk, "f", 1000 + n, at, "o1", f"第{n}件快递") for n in range(120)])
    seen, url = [], f"{PAGE}?q=快递"
    while url:
        response = browser.get(url)
        seen += texts(response)
        older = response.context["cl"].older_url
        url = older and f"{PAGE}{older}"
    assert seen == [f"第{n}件快递" for n in reversed(range(120))]


def test_a_message_of_customer_service_is_found(browser, account):
    message = OutgoingMessage.objects.create(
        account=account, subscriber=Subscriber.objects.get(), kind="text",
        payload={"content": "已经寄出了"}, window_until=timezone.now(), sent_at=timezone.now(),
        state="sent", due_at=None,
    )  # fmt: skip
    index_messages([message])
    (text,) = browser.get(PAGE, {"q": "寄出"}).context["cl"].result_list
    assert text.said == MessageText.Said.MESSAGE
    page = f"/admin/subscribers/outgoingmessage/{message.pk}/change/"
    assert browser.get(f"{PAGE}{text.pk}/change/").url == page


def test_contents_are_for_those_who_may_read_them(account):
    rights = ("events.view_eventlog", "events.view_messagetext", "events.view_officialaccount")
    browser = browser_of(with_rights("auditor", *rights))
    assert browser.get(PAGE).status_code == 403
    listed = browser.get(EVENTS, {"q": "没有回复"})
    assert listed.context["cl"].result_list == []
    assert "你没有回复我" not in browser.get(EVENTS).content.decode()

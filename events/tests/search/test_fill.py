"""The worker takes words over; they go with the person, with the event and with their time."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from events.log.retention_hooks import announce_erasure, announce_removal
from events.models import EventLog, EventToIndex, MessageText
from events.retention.erase import pseudonymise_log
from events.search.fill import forget_old_texts, index_texts
from events.search.find import Span, find
from events.stats.update import update_statistics
from events.testing import make_account, make_rule, message_xml, push

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    shop = make_account()
    make_rule(shop, key="退货", content="请把订单号发给我")
    push(shop, message_xml("text", openid="oWho", Content="退货", MsgId="1"))
    push(shop, message_xml("voice", openid="oWho", Recognition="我的快递呢", MsgId="2"))
    push(shop, message_xml("text", openid="oOther", Content="你没有回复我 iPhone", MsgId="3"))
    push(shop, message_xml("event.CLICK", openid="oOther", EventKey="退货"))
    worker()
    return shop


def worker() -> None:
    update_statistics()
    index_texts()


def found(account, words: str) -> list[tuple[str, str, str]]:
    rows = find(words, Span([account.pk]), limit=10)
    return [(row.said, row.openid, row.content) for row in rows]


def test_what_was_said_and_answered_is_found(account):
    assert found(account, "退货") == [("f", "oWho", "退货")]
    assert found(account, "订单") == [("r", "oWho", "请把订单号发给我")]
    assert found(account, "快递") == [("f", "oWho", "我的快递呢")]
    assert found(account, "ＩＰＨＯＮＥ 回复") == [("f", "oOther", "你没有回复我 iPhone")]
    assert found(account, "呢") == [("f", "oWho", "我的快递呢")]
    assert found(account, "没有快递") == found(account, " ") == []
    assert not EventToIndex.objects.exists()


def test_it_goes_with_the_person(account):
    pseudonymise_log(account.pk, "oWho", "erased-1", now=timezone.now())
    announce_erasure(account.pk, "oWho", "erased-1")
    EventToIndex.objects.bulk_create(
        EventToIndex(event_id=event.pk, event_time=event.event_time)
        for event in EventLog.objects.all()
    )
    index_texts()
    assert found(account, "退货") == found(account, "订单") == []
    assert found(account, "回复")


def test_it_goes_with_the_event_and_with_its_time(account, settings):
    announce_removal(EventLog.objects.filter(openid="oWho"))
    assert set(MessageText.objects.values_list("openid", flat=True)) == {"oOther"}
    settings.EVENT_BODY_RETENTION_DAYS = 30
    assert forget_old_texts() == 0
    MessageText.objects.update(event_time=timezone.now() - datetime.timedelta(days=31))
    assert forget_old_texts() == 1

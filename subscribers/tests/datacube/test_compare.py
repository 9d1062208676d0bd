"""WeChat's figures on the fake API, with planted differences: each is found and explained."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from events.platform.hindrances import hindrance
from events.simulator.fake_api import Fault
from events.simulator.follower_acts import Follower
from events.simulator.pushes import Push
from events.stats.update import update_statistics
from events.testing import message_xml, push
from events.wechat.beijing_time import BEIJING
from subscribers.datacube.compare_figures import Reason, compare
from subscribers.datacube.fetch import fetch_figures
from subscribers.models import FollowerSync, WeChatDay

# Ready whatever the hour is.
DAY = (timezone.now().astimezone(BEIJING) - datetime.timedelta(days=3)).date()


def at(hour):
    moment = datetime.datetime.combine(DAY, datetime.time(hour), tzinfo=BEIJING)
    return int(moment.timestamp())


@pytest.fixture
def act(shop, at_wechat):
    """Somebody follows or leaves; WeChat counts it, and its push arrives or does not."""

    def act(name, event="subscribe", hour=9, arrives=True):
        openid = f"oT3xk5QmZb7LwR2nVc9Ys0{name}"
        follows = event == "subscribe"
        at_wechat.followers.add(Follower(openid, is_following=follows, followed_at=at(hour)))
        at_wechat.note_push(Push(openid, at(hour), "event", event))
        if arrives:
            push(shop, message_xml(f"event.{event}", openid=openid, at=at(hour)))

    return act


def compared(shop):
    update_statistics()
    assert fetch_figures() > 0
    days = list(WeChatDay.objects.filter(account=shop))
    return {each.theirs.date: each for each in compare(OfficialAccount.objects.get(), days)}[DAY]


def synced(shop):
    now = timezone.now()
    FollowerSync.objects.create(
        account=shop, origin="schedule", requested_at=now, finished_at=now, due_at=None,
        state="finished",
    )  # fmt: skip


def test_figures_that_agree_have_no_reason(shop, act):
    synced(shop)
    act("ann")
    act("bob")
    act("bob", "unsubscribe", 12)
    day = compared(shop)
    assert (day.theirs.new, day.theirs.cancelled, day.theirs.cumulative) == (2, 1, 1)
    assert (day.new, day.cancelled, day.cumulative, day.reasons) == (0, 0, 0, [])


def test_who_follows_twice_is_one_person_here_and_two_follows_there(shop, act):
    synced(shop)
    act("ann")
    act("ann", "unsubscribe", 10)
    act("ann", hour=11)
    day = compared(shop)
    assert (day.new, day.cancelled, day.reasons) == (1, 0, [Reason.AGAIN])


def test_a_missed_push_is_not_explained_until_a_sync_finds_it(shop, act):
    synced(shop)
    act("ann")
    act("bob", arrives=False)
    day = compared(shop)
    assert (day.new, day.cumulative, day.reasons) == (1, 1, [Reason.UNKNOWN])
    # what a sync of the next night stores
    seen_at = datetime.datetime.fromtimestamp(at(9) + 18 * 3600, datetime.UTC)
    EventLog.objects.create(
        account=shop, source=EventLog.Source.RECONCILE, kind="reconcile.follow", dedup_key="found",
        openid="oT3xk5QmZb7LwR2nVc9Ys0bob", event_time=seen_at, received_at=seen_at,
        last_delivered_at=seen_at, status=EventLog.Status.PROCESSED,
    )  # fmt: skip
    day = compared_again(shop)
    assert (day.new, day.reasons) == (1, [Reason.FOUND])


def compared_again(shop):
    update_statistics()
    return next(iter(compare(shop, WeChatDay.objects.filter(account=shop, date=DAY))))


def test_before_the_first_sync_earlier_followers_are_not_known(shop, act, at_wechat):
    act("ann")
    day = compared(shop)
    assert day.reasons == []
    WeChatDay.objects.update(cumulative=500)
    assert compared_again(shop).reasons == [Reason.NEVER_SYNCED]


def test_days_before_the_account_was_added_ask_for_no_sync(shop, act):
    act("ann", arrives=False)
    assert compared(shop).reasons == [Reason.BEFORE]
    since = timezone.now() - datetime.timedelta(days=10)
    OfficialAccount.objects.update(created_at=since)
    shop.refresh_from_db()
    assert compared_again(shop).reasons == [Reason.UNKNOWN, Reason.NEVER_SYNCED]


def test_days_of_another_zone_are_not_compared(shop, act):
    OfficialAccount.objects.update(time_zone="America/New_York")
    act("ann", arrives=False)
    assert compared(shop).reasons == [Reason.ZONE]


def test_figures_are_fetched_once_a_day_and_kept(shop, act, fake, at_wechat, operator):
    act("ann")
    compared(shop)
    calls = fake.calls["/datacube/getusersummary"]
    assert calls == 4
    assert fetch_figures() == 0
    yesterday = timezone.now() - datetime.timedelta(hours=21)
    WeChatDay.objects.update(fetched_at=yesterday)
    assert fetch_figures() == 7
    WeChatDay.objects.update(fetched_at=yesterday)
    fake.make_trouble("/datacube/getusersummary", Fault(errcode=-1, times=None))
    assert fetch_figures() == 0
    page = operator.get("/admin/subscribers/wechatday/").content.decode()
    assert "alike" in page
    fake.end_trouble()
    at_wechat.is_certified = False
    WeChatDay.objects.all().delete()
    assert fetch_figures() == 0
    # Said above the page from now on.
    assert hindrance(shop.pk, "/datacube/getusersummary") is not None
    assert hindrance(shop.pk, "/cgi-bin/menu/create") is None

"""Each trouble told once, and once that it is over, to a server that receives webhooks."""

from __future__ import annotations

import datetime
import json
import shutil
from collections import namedtuple

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from events.alerts import looks, rules
from events.alerts.guard import look_for_worker
from events.alerts.send import send_messages
from events.alerts.watch import watch
from events.doctor.examine import Visit, disks_short_of_space, examine
from events.limits import Limits
from events.models import (
    Alert,
    AlertChannel,
    AlertLimits,
    AlertMessage,
    ApiKey,
    AuditEntry,
    CallbackRefusal,
    EventLog,
    HealthCount,
    LiveMenu,
    SharedAccessToken,
    TaskRun,
)
from events.testing import message_xml, push
from subscribers.models import FollowerSync, WebhookEndpoint

MINUTE = datetime.timedelta(minutes=1)
HOUR = 60 * MINUTE


@pytest.fixture
def channel(db, received):
    return AlertChannel.objects.create(name="duty", url=received.url, language="en")


@pytest.fixture
def now():
    # In the past, so that what is due by it is due.
    return timezone.now() - 12 * HOUR


def told(received):
    """The kinds of the messages that arrived, after all that is due was sent."""
    while send_messages():
        pass
    return [message["type"] for message in received]


# --- Troubles: how one begins, and how it is over ---


def dead_event(shop, now):
    push(shop, message_xml())
    EventLog.objects.update(status=EventLog.Status.DEAD, received_at=now)
    return lambda: EventLog.objects.update(status=EventLog.Status.PROCESSED)


def refused_pushes(shop, now):
    CallbackRefusal.objects.create(
        minute=now, account="shop", reason="SignatureMismatch", number=160
    )
    return lambda: CallbackRefusal.objects.all().delete()


def late_answers(shop, now):
    HealthCount.objects.create(account=shop, start=now, answered=100, within_5s=50)
    return lambda: HealthCount.objects.all().delete()


def failing_token(failure, message):
    def begin(shop, now):
        SharedAccessToken.objects.create(
            account=shop, failure=failure, failure_message=message, failures=1, failed_at=now
        )
        return lambda: SharedAccessToken.objects.update(failure="")

    return begin


def different_sync(shop, now):
    def finished(missed):
        FollowerSync.objects.create(
            account=shop, origin="schedule", requested_at=now, finished_at=now, due_at=None,
            state="finished", seen=1000, missed_unfollows=missed,
        )  # fmt: skip

    finished(1000)
    assert watch(now) == 0  # the first one finds who followed before
    finished(40)
    return lambda: finished(0)


def expiring_key(shop, now):
    user = User.objects.create_user("robot")
    ApiKey.issue(user=user, scopes=[], name="warehouse", expires_at=now + 121 * HOUR)
    return lambda: ApiKey.objects.update(revoked_at=now)


def stuck_queue(shop, now):
    LiveMenu.objects.create(account=shop, due_at=now - 30 * MINUTE)
    return lambda: LiveMenu.objects.all().delete()


def failing_webhook(**columns):
    def begin(shop, now):
        endpoint = WebhookEndpoint.objects.create(
            account=shop, url="https://erp.example.com/hook", secret="s" * 32,
            failing_since=now - 2 * HOUR, **columns,
        )  # fmt: skip
        return lambda: endpoint.delete()

    return begin


TROUBLES = {
    "dead": (dead_event, "1 events of the last day failed"),
    "refusals": (refused_pushes, "160 pushes were refused in ten minutes (SignatureMismatch)"),
    "late_answers": (late_answers, "50 of 100 answers"),
    "token": (failing_token("credentials", "40125 invalid appsecret"), "40125"),
    "ip_list": (failing_token("address", "40164 invalid ip 203.0.113.9, not in"), "203.0.113.9"),
    "sync": (different_sync, "40 unfollows that were missed"),
    "api_key": (expiring_key, "the first in 5 days: warehouse"),
    "webhook": (
        failing_webhook(paused_at=timezone.now()),
        "erp.example.com has taken no messages for 2 hours",
    ),
    "webhook that is gone": (
        failing_webhook(is_active=False, stopped_because=WebhookEndpoint.Stopped.GONE),
        "erp.example.com answered 410 Gone",
    ),
    "queue": (stuck_queue, "Rows have waited for 32 minutes: menus at WeChat."),
}


@pytest.mark.any_database
def test_every_rule_has_a_trouble_here():
    elsewhere = {"silence", "disk", "worker"}  # below, and in test_night.py
    assert rules.RULES.keys() <= TROUBLES.keys() | elsewhere
    assert set(rules.looks()) == rules.RULES.keys() - {"worker"}


@pytest.mark.parametrize("rule", TROUBLES)
def test_a_trouble_is_told_once_and_once_when_it_is_over(rule, shop, channel, received, now):
    begin, words = TROUBLES[rule]
    end = begin(shop, now)
    for minute in range(3):
        watch(now + minute * MINUTE)
    assert len(told(received)) == 1
    assert words in received[0]["message"]
    end()
    for minute in range(3, 60, 4):
        watch(now + minute * MINUTE)
    assert told(received)[1:] == ["success"]
    assert received[1]["title"].startswith("Over: ")
    assert AlertMessage.objects.waiting().count() == 0


def test_answers_that_stay_late_after_a_full_hour_are_one_alert(shop, channel, received, now):
    hour = now.replace(minute=0, second=0, microsecond=0)
    HealthCount.objects.create(account=shop, start=hour - HOUR, answered=100, within_5s=99)
    HealthCount.objects.create(account=shop, start=hour, answered=100, within_5s=50)
    watch(hour + 50 * MINUTE)
    HealthCount.objects.create(account=shop, start=hour + HOUR, answered=10, within_5s=5)
    for minute in range(51, 120):
        watch(hour + minute * MINUTE)
    assert Alert.objects.get().ended_at is None
    assert len(told(received)) == 1


def test_a_full_disk_is_told(shop, channel, received, now, monkeypatch):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(100 << 30, 99 << 30, 1 << 30))
        watch(now)
    assert told(received) == ["failure"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 << 30, 1 << 30, 99 << 30))
    watch(now + 20 * MINUTE)
    assert told(received) == ["failure", "success"]


@pytest.mark.django_db
def test_the_disk_of_private_files_is_looked_at(settings, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    looked_at = []

    def disk_usage(folder):
        looked_at.append(folder)
        return usage(100 << 30, 1 << 30, 99 << 30)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    private = {**settings.STORAGES["private"], "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "private": private}
    assert disks_short_of_space() == []
    assert tmp_path in looked_at


def test_an_account_that_falls_silent_is_late_before_it_is_down(shop, channel, received, now):
    # a push a minute, day and night, for four weeks
    HealthCount.objects.bulk_create(
        HealthCount(account=shop, start=now - 27 * 24 * HOUR + hour * HOUR, received=27 * 60)
        for hour in range(24)
    )
    push(shop, message_xml())
    EventLog.objects.update(received_at=now)
    watch(now + 3 * MINUTE)
    assert told(received) == []
    for minute in range(6, 40):
        watch(now + minute * MINUTE)
        told(received)
    assert told(received) == ["warning", "failure"]
    assert "Fewer pushes than usual" in received[0]["message"]
    assert "No pushes for" in received[1]["message"]
    for minute in range(40, 70):
        EventLog.objects.update(received_at=now + minute * MINUTE)
        watch(now + minute * MINUTE)
    assert told(received) == ["warning", "failure", "success"]


def test_a_large_sync_does_not_end_the_alert_of_a_silent_account(
    shop, channel, received, now, monkeypatch
):
    monkeypatch.setattr(looks, "_LATEST", 2)
    HealthCount.objects.bulk_create(
        HealthCount(account=shop, start=now - 27 * 24 * HOUR + hour * HOUR, received=27 * 60)
        for hour in range(24)
    )
    HealthCount.objects.create(account=shop, start=now - 3 * HOUR, received=60)
    push(shop, message_xml())
    EventLog.objects.update(received_at=now - 2 * HOUR)
    watch(now)
    assert told(received) == ["failure"]
    for number in range(2):
        push(shop, message_xml(openid=f"o{number}"))
    EventLog.objects.exclude(received_at=now - 2 * HOUR).update(source=EventLog.Source.IMPORT)
    for minute in range(1, 30):
        watch(now + minute * MINUTE)
    assert told(received) == ["failure"]


def test_what_comes_and_goes_is_told_once(shop, channel, received, now, monkeypatch):
    there = [True]
    found = rules.Condition("refusals", Alert.Level.DOWN, shop.pk, {"number": 9, "reason": "x"})
    monkeypatch.setattr(rules, "_looks", {"refusals": lambda now: [found] if there[0] else []})
    for minute in range(120):
        there[0] = minute % 4 == 0
        watch(now + minute * MINUTE)
    assert told(received) == ["failure"]
    there[0] = False
    watch(now + 180 * MINUTE)
    assert told(received) == ["failure", "success"]
    # back within the day: the end has to last longer
    there[0] = True
    watch(now + 200 * MINUTE)
    there[0] = False
    watch(now + 215 * MINUTE)
    assert told(received) == ["failure", "success", "failure"]
    watch(now + 221 * MINUTE)
    assert told(received) == ["failure", "success", "failure", "success"]


def test_a_rule_that_fails_ends_nothing(shop, channel, received, now, monkeypatch):
    refused_pushes(shop, now)
    watch(now)

    def fail(now):
        raise ValueError("no answer")

    monkeypatch.setitem(rules._looks, "refusals", fail)
    watch(now + 60 * MINUTE)
    assert told(received) == ["failure"]


def test_in_quiet_hours_only_what_is_down_is_told(shop, channel, received):
    now = timezone.now()
    local = timezone.localtime(now)
    channel.quiet_from = (local - HOUR).time()
    channel.quiet_to = (local + HOUR).time()
    channel.save()
    end = dead_event(shop, now)
    end_of_token = failing_token("credentials", "40125")(shop, now)
    watch(now)
    assert told(received) == ["failure"]
    # what is over before the morning is not told, nor that it is over
    end()
    end_of_token()
    watch(now + 30 * MINUTE)
    assert told(received) == ["failure"]
    morning = AlertMessage.objects.waiting()
    assert {message.due_at for message in morning} == {
        timezone.localtime(now + HOUR).replace(microsecond=local.microsecond)
    }
    morning.update(due_at=timezone.now())
    assert told(received) == ["failure", "success"]
    channel.urgent_always = False
    channel.save()
    refused_pushes(shop, now)
    watch(now)
    assert told(received) == ["failure", "success"]


def test_a_dead_worker_is_told_by_the_web_processes_and_its_return_by_itself(
    shop, channel, received
):
    now = timezone.now()
    TaskRun.objects.create(name="events", finished_at=now)
    assert look_for_worker(now + MINUTE)
    for minute in range(3, 9):
        assert not look_for_worker(now + minute * MINUTE)
    AlertMessage.objects.filter(due_at__isnull=False).update(due_at=now)
    assert told(received) == ["failure"]
    assert "No worker has run" in received[0]["message"]
    watch(now + 10 * MINUTE)
    AlertMessage.objects.filter(due_at__isnull=False).update(due_at=now)
    assert told(received) == ["failure", "success"]


def test_a_channel_that_fails_is_tried_again(shop, channel, received, now):
    received.status = 500
    refused_pushes(shop, now)
    watch(now)
    assert told(received) == []
    message = AlertMessage.objects.get()
    assert (message.failure, message.sent_at) == ("channel", None)
    assert "pass-word" not in message.failure_text
    received.status = 200
    AlertMessage.objects.update(due_at=now)
    assert told(received) == ["failure"]


def test_the_pages_show_no_address_and_send_a_test(operator, channel, received, shop, now):
    page = f"/admin/events/alertchannel/{channel.pk}/change/"
    text = operator.get(page).content.decode()
    assert "pass-word" not in text
    assert "json" in text
    answer = operator.post(
        f"/admin/events/alertchannel/{channel.pk}/send_a_test/", {"post": "yes"}, follow=True
    )
    assert "Has it arrived?" in answer.content.decode()
    assert [message["title"] for message in received] == ["Test"]
    form = {"name": "duty", "language": "en", "new_url": "nonsense"}
    assert "knows no such address" in operator.post(page, form).content.decode()
    form |= {"new_url": received.url.replace("json://", "jsons://"), "is_active": "on"}
    assert operator.post(page, form).status_code == 302
    channel.refresh_from_db()
    assert channel.url.startswith("jsons://")
    assert "pass-word" not in json.dumps(list(AuditEntry.objects.values("changes", "details")))
    refused_pushes(shop, now)
    watch(now)
    assert "160 pushes were refused" in operator.get("/admin/events/alert/").content.decode()
    assert "160 pushes" in operator.get("/admin/events/alertmessage/").content.decode()
    alert, message = Alert.objects.latest("pk"), AlertMessage.objects.latest("pk")
    for row in (f"alert/{alert.pk}", f"alertmessage/{message.pk}"):
        assert "160 pushes" in operator.get(f"/admin/events/{row}/change/").content.decode()
    # Those of a former version may have other details.
    Alert.objects.update(details={})
    assert operator.get("/admin/events/alert/").status_code == 200


def test_rows_of_alerts_are_forgotten_after_a_year(shop, channel, now):
    Alert.objects.create(
        rule="dead", level="late", began_at=now - 10_000 * HOUR, last_seen_at=now,
        ended_at=now - 9_000 * HOUR,
    )  # fmt: skip
    watch(now)
    assert not Alert.objects.exists()


def test_limits_are_changed_in_the_admin_for_the_site_and_for_one_account(shop, operator, now):
    page = "/admin/events/alertlimits/"
    refused_pushes(shop, now)
    CallbackRefusal.objects.update(number=30)
    of_shop, of_site = Limits().of("refusals", shop.pk), Limits().of("refusals")
    assert (of_shop, of_site) == (5, 5)
    # The forms say what holds without a number.
    text = operator.get(f"{page}add/").content.decode()
    assert 'placeholder="5"' in text
    assert operator.post(f"{page}add/", {"refusals": 100}).status_code == 302
    assert watch(now) == 0
    assert operator.post(f"{page}add/", {"account": shop.pk, "refusals": 20}).status_code == 302
    assert (Limits().of("refusals", shop.pk), Limits().of("refusals")) == (20, 100)
    assert watch(now) == 1
    limits = AlertLimits.objects.get(account=shop)
    change = f"{page}{limits.pk}/change/"
    # An empty number leaves the site's.
    assert operator.post(change, {"refusals": ""}).status_code == 302
    assert Limits().of("refusals", shop.pk) == 100
    entries = AuditEntry.objects.filter(model="events.alertlimits", act="change")
    assert '"refusals": 20' in json.dumps(list(entries.values_list("changes", flat=True)))


def test_how_full_a_disk_may_be_is_set_for_the_site(
    shop, operator, channel, received, now, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(400 << 30, 360 << 30, 40 << 30))
    page = "/admin/events/alertlimits/"
    assert watch(now) == 0
    text = operator.get(f"{page}add/").content.decode()
    assert 'placeholder="10"' in text
    form = {"disk_percent": 20}
    assert operator.post(f"{page}add/", form).status_code == 302
    # Less than 20 %, but not less than 5 GB.
    assert watch(now) == 0
    assert "disk" not in found_by_doctor(shop)
    change = f"{page}{AlertLimits.objects.get().pk}/change/"
    assert operator.post(change, form | {"disk_gigabytes": 50}).status_code == 302
    assert watch(now) == 1
    assert told(received) == ["failure"]
    assert "10 % of the disk" in received[0]["message"]
    assert "disk" in found_by_doctor(shop)
    entries = AuditEntry.objects.filter(model="events.alertlimits")
    assert '"disk_gigabytes": 50' in json.dumps(list(entries.values_list("changes", flat=True)))
    assert operator.post(change, {"disk_percent": "", "disk_gigabytes": ""}).status_code == 302
    assert "disk" not in found_by_doctor(shop)


def found_by_doctor(account):
    return {finding.code for finding in examine(account, Visit(line=None)).findings}


WRONG_LIMITS = {
    "refusals 0": ({"refusals": 0}, "greater than or equal to 1", "大于或等于"),
    "late_answers 101": ({"late_answers": 101}, "less than or equal to 100", "小于或等于"),
    "silence_late 15": ({"silence_late": 15}, "must be less than “down”", "须小于“严重”"),
    "queue_down 10": ({"queue_down": 10}, "must be less than “down”", "须小于“严重”"),
    "disk_percent 91": ({"disk_percent": 91}, "less than or equal to 90", "小于或等于"),
    "disk_gigabytes 0": ({"disk_gigabytes": 0}, "greater than or equal to 1", "大于或等于"),
    "a word": ({"dead": "many"}, "whole number", "整数"),
}


@pytest.mark.parametrize("case", WRONG_LIMITS)
def test_wrong_limits_are_refused_in_both_languages(case, operator):
    form, english, chinese = WRONG_LIMITS[case]
    for language, words in (("en", english), ("zh-hans", chinese)):
        operator.cookies["django_language"] = language
        answer = operator.post("/admin/events/alertlimits/add/", form)
        assert words in answer.content.decode()
    assert not AlertLimits.objects.exists()


def test_limits_of_the_whole_site_are_not_set_for_one_account(shop, operator):
    for name in ("queue_late", "disk_percent", "disk_gigabytes"):
        form = {"account": shop.pk, name: 20}
        text = operator.post("/admin/events/alertlimits/add/", form).content.decode()
        assert "This limit is of the whole site" in text
    for _ in range(2):
        text = operator.post("/admin/events/alertlimits/add/", {"dead": 5}).content.decode()
    assert "There are limits of these already" in text

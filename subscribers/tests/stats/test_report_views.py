"""The views for reporting tools."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from events.binding_scenes import new_binding_scene
from events.models import AccountStatistics, EventLog, PeriodCount, Series
from events.testing import make_account, message_xml
from subscribers.models import Binding, Subscriber

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 11, 1, 4, tzinfo=datetime.UTC)  # in Shanghai


@pytest.fixture
def account():
    return make_account(mode="plaintext")


def rows(view, *columns):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {view} ORDER BY 1")
        return cursor.fetchall()


def store(account, number, **columns):
    defaults = {
        "kind": "text", "msg_type": "text", "openid": "o1", "event_time": NOON,
        "received_at": NOON, "last_delivered_at": NOON, "dedup_key": f"{number:032x}",
        "status": "processed", "raw": b"",
    }  # fmt: skip
    return EventLog.objects.create(account=account, **(defaults | columns))


def test_events_have_their_text_and_no_binding_code(account):
    scene = new_binding_scene()
    bodies = [
        message_xml("text", Content="您好 & <b>", at=1), b"\xff\xfe", b"<xml>", b"",
        message_xml("text", Content=f"say {scene}", at=1),
    ]  # fmt: skip
    for number, body in enumerate(bodies):
        store(account, number, raw=body)
    store(
        account, 9, kind="event.subscribe", event_key=f"qrscene_{scene}", scene=scene,
        raw=message_xml("event.subscribe", at=1, EventKey=f"qrscene_{scene}"),
    )  # fmt: skip
    found = rows("report_events", "id", "account", "text", "event_key", "scene")
    texts = [row[2] for row in found]
    assert texts[0] == "您好 & <b>"
    assert texts[1:4] == [None, None, None]
    assert texts[5] is None
    assert {row[1] for row in found} == {"shop"}
    assert scene not in str(found)
    assert "••••" in texts[4]
    assert "••••" in found[5][3]
    assert "••••" in found[5][4]


def test_a_short_code_is_masked_while_it_may_be_valid(account):
    sent = ["ABCD-2345", "绑定码ABCD 2345", "abcd2345 please", "ABCD－2345", "您好 hello"]
    now = timezone.now()
    for number, text in enumerate(sent):
        for minutes in (10, 13):
            store(
                account, 2 * number + minutes, raw=message_xml("text", Content=text, at=1),
                received_at=now - datetime.timedelta(minutes=minutes),
            )  # fmt: skip
    texts = [text for _, text in rows("report_events", "id", "text")]
    assert texts[1::2] == sent
    assert [text == "••••-••••" for text in texts[::2]] == [True, True, True, True, False]


def test_followers_and_days(account):
    follower = Subscriber.objects.create(account=account, openid="o1", updated_at=NOON)
    assert [bool(bound) for (bound,) in rows("report_followers", "is_bound")] == [False]
    Binding.objects.create(
        account=account, subscriber=follower, user=User.objects.create_user("a"), bound_at=NOON,
        event_id=1, event_time=NOON,
    )  # fmt: skip
    ((name, openid, bound),) = rows("report_followers", "account", "openid", "is_bound")
    assert (name, openid, bool(bound)) == ("shop", "o1", True)
    AccountStatistics.objects.create(account=account, time_zone="Asia/Shanghai")
    midnight = NOON - datetime.timedelta(hours=12)
    for key, period in (("", "d"), ("", "h"), ("MENU", "d")):
        series, _ = Series.objects.get_or_create(
            account=account, kind="event.click", key=key, digest=key
        )
        PeriodCount.objects.create(series=series, period=period, start=midnight, events=3, people=2)
    ((day, *counts),) = rows("report_daily", "day", "kind", "events", "people")
    assert (str(day), *counts) == ("2026-11-01", "event.click", 3, 2)

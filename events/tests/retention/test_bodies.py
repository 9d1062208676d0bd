"""Bodies past EVENT_BODY_RETENTION_DAYS are emptied; what happened stays."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from events.models import EventLog
from events.months import Month
from events.retention import bodies
from events.retention.archive import archives, ensure_archived, restore
from events.retention.bodies import empty_bodies
from events.testing import make_account, message_xml, push

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return make_account()


def text(account, number, *, days_ago):
    push(account, message_xml("text", openid="o1", Content=f"words {number}", MsgId=str(number)))
    received = timezone.now() - datetime.timedelta(days=days_ago)
    EventLog.objects.filter(msg_id=str(number)).update(received_at=received)


def with_body():
    return sorted(EventLog.objects.exclude(raw=b"").values_list("msg_id", flat=True))


def test_nothing_is_emptied_unless_a_setting_says_so(account):
    text(account, 1, days_ago=1000)
    assert empty_bodies() == 0
    assert with_body() == ["1"]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_old_bodies_go_young_ones_and_open_ones_stay(account, settings, monkeypatch, batch):
    monkeypatch.setattr(bodies, "_BATCH", batch)
    settings.EVENT_BODY_RETENTION_DAYS = 30
    for number, days in enumerate([40, 35, 31, 20]):
        text(account, number, days_ago=days)
    EventLog.objects.filter(msg_id="1").update(status="failed")
    assert empty_bodies() == 2
    assert with_body() == ["1", "3"]
    row = EventLog.objects.get(msg_id="0")
    assert (row.kind, row.reply, row.body_removed_at is None) == ("text", "", False)
    assert empty_bodies() == 0
    EventLog.objects.filter(msg_id="1").update(status="dead")
    assert empty_bodies() == 1
    assert with_body() == ["3"]


def test_rows_received_at_one_moment_are_all_reached(account, settings, monkeypatch):
    monkeypatch.setattr(bodies, "_BATCH", 2)
    settings.EVENT_BODY_RETENTION_DAYS = 30
    for number in range(5):
        text(account, number, days_ago=40)
    at = timezone.now() - datetime.timedelta(days=40)
    EventLog.objects.update(received_at=at)
    assert empty_bodies() == 5


def test_archives_lose_their_old_bodies_and_bring_none_back(account, settings, tmp_path):
    settings.EVENT_ARCHIVE_DIR = tmp_path
    month = Month(2024, 11)
    at = int(month.start.timestamp())
    push(account, message_xml("text", openid="o1", Content="old", MsgId="1", CreateTime=str(at)))
    EventLog.objects.update(received_at=timezone.now() - datetime.timedelta(days=40))
    copy = tmp_path / "copy"
    ensure_archived(month, copy)
    ensure_archived(month, tmp_path)
    settings.EVENT_BODY_RETENTION_DAYS = 30
    assert empty_bodies() == 2
    (archive,) = archives(tmp_path)
    archive.verify()
    assert [record["raw"] for record in archive.records()] == [""]
    EventLog.objects.all().delete()
    restore(month, copy)
    assert bytes(EventLog.objects.get().raw) == b""

"""The operators' pages for one person's data."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from events.models import EventLog
from events.testing import make_account, message_xml, push
from subscribers.models import Binding, Conversation, Erasure, Subscriber
from subscribers.personal_data.collect import collect
from subscribers.personal_data.in_words import _TABLES

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"


@pytest.fixture
def person(db):
    push(make_account(), message_xml("text", openid=OPENID, Content="<b>hello</b>", MsgId="1"))
    return Subscriber.objects.get()


def page(person, action):
    return reverse(f"admin:subscribers_subscriber_{action}_personal_data", args=[person.pk])


def test_all_that_is_known_is_a_page_and_a_file(operator, person):
    response = operator.get(page(person, "export"))
    html = response.content.decode()
    assert "&lt;b&gt;hello&lt;/b&gt;" in html
    assert "<b>hello" not in html
    assert "no-store" in response["Cache-Control"]
    said = json.loads(operator.get(page(person, "export"), {"format": "json"}).content)
    assert said["events"][0]["payload"]["Content"] == "<b>hello</b>"


def test_erasing_wants_the_openid_typed(operator, person):
    shown = operator.get(page(person, "erase")).content.decode()
    assert OPENID in shown
    wrong = operator.post(page(person, "erase"), {"openid": "oOther"})
    assert "Nothing was erased" in wrong.content.decode()
    assert EventLog.objects.filter(openid=OPENID).exists()
    done = operator.post(page(person, "erase"), {"openid": OPENID}, follow=True)
    assert Erasure.objects.get().pseudonym in done.content.decode()
    assert OPENID not in done.content.decode()
    assert not EventLog.objects.filter(openid=OPENID).exists()
    # A second time there is nothing to be done.
    again = operator.get(page(person, "erase"), follow=True)
    assert "erased already" in again.content.decode()


def test_the_receipt_can_be_downloaded(operator, person):
    operator.post(page(person, "erase"), {"openid": OPENID})
    erasure = Erasure.objects.get()
    url = reverse("admin:subscribers_erasure_download_receipt", args=[erasure.pk])
    said = json.loads(operator.get(url).content)
    assert (said["digest"], said["requested_by"]) == (erasure.digest, "operator")
    listed = operator.get(reverse("admin:subscribers_erasure_changelist")).content.decode()
    assert erasure.pseudonym in listed


def test_the_event_says_that_its_body_is_gone(operator, person):
    operator.post(page(person, "erase"), {"openid": OPENID})
    url = reverse("admin:events_eventlog_change", args=[EventLog.objects.get().pk])
    assert "The body was removed on" in operator.get(url).content.decode()


@pytest.mark.parametrize("action", ["export", "erase"])
def test_both_need_a_right_of_their_own(client, person, action):
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_subscriber"))
    client.force_login(staff)
    assert client.get(page(person, action)).status_code == 403
    assert client.post(page(person, action), {"openid": OPENID}).status_code == 403
    assert EventLog.objects.filter(openid=OPENID).exists()


def test_the_page_speaks_words(operator, person):
    user = User.objects.create_user("zhang")
    event = EventLog.objects.get()
    Binding.objects.create(
        account=person.account, subscriber=person, user=user, bound_at=timezone.now(),
        event_id=event.pk, event_time=event.event_time,
    )  # fmt: skip
    conversation = Conversation.objects.create(
        account=person.account, subscriber=person, last_at=timezone.now()
    )
    conversation.notes.create(text="calls back on Monday")
    operator.cookies["django_language"] = "zh-hans"
    shown = operator.get(page(person, "export"))
    cells = re.findall(r'verbatim">([^<]*)<', shown.content.decode())
    assert {"文本消息", "已处理", "zhang"} <= set(cells)
    assert "calls back on Monday" in shown.content.decode()
    assert not {"processed", "callback", "text", "scan"} & set(cells)


def test_every_table_that_is_known_has_a_place_on_the_page(person):
    assert set(collect(person.account, OPENID)) - set(_TABLES) == {
        *("account", "account_name", "openid", "made_at")
    }

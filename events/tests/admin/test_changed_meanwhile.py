"""Two users have the same form open: the later one does not silently undo the earlier one."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from events.models import OfficialAccount, ReplyRule
from events.testing import make_account, make_rule
from events.tests.admin.test_admin import account_url, form_of
from events.tests.admin.test_rules import form, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


def seen_on(response):
    found = re.search(r'name="seen_change" value="(\d+)"', response.content.decode())
    return {"seen_change": found[1]}


def answer():
    return ReplyRule.objects.get().rule.answers[0].content


def test_the_second_to_save_is_told_who_was_first_and_may_replace_it(operator, account):
    rule = make_rule(account, content="old")
    page = reverse("admin:events_replyrule_change", args=[rule.pk])
    mine = seen_on(operator.get(page))
    theirs = seen_on(operator.get(page))
    theirs |= form(account, **{"answers0-content": "theirs"})
    assert operator.post(page, theirs).status_code == 302
    written = form(account, **{"answers0-content": "mine"})
    refused = operator.post(page, written | mine)
    assert (refused.status_code, answer()) == (200, "theirs")
    assert "operator saved this at" in words_of(refused)
    assert "mine" in refused.content.decode()
    assert operator.post(page, written | seen_on(refused)).status_code == 302
    assert answer() == "mine"


def test_whoever_saves_twice_from_a_fresh_page_is_not_asked(operator, account):
    for name in ("First", "Second"):
        page = operator.get(account_url(account))
        saved = operator.post(account_url(account), form_of(account, name=name) | seen_on(page))
        assert saved.status_code == 302
        account.refresh_from_db()
    assert OfficialAccount.objects.get().name == "Second"


def test_another_order_of_the_rules_does_not_stop_who_writes_one(operator, account):
    first, second = make_rule(account, key="first"), make_rule(account, key="second")
    page = reverse("admin:events_replyrule_change", args=[first.pk])
    seen = seen_on(operator.get(page))
    order = {"id": [first.pk, second.pk], "move": f"{second.pk}:-1"}
    assert operator.post(f"/admin/events/replyrule/order/{account.pk}/", order).status_code == 302
    first.refresh_from_db()
    assert first.position == 2
    assert operator.post(page, form(account) | seen).status_code == 302

"""Rules are put in order while a colleague writes one of them."""

from __future__ import annotations

import pytest

from events.answering.publish_rules import put_in_order
from events.models import ReplyRule
from events.testing import make_account, make_rule
from subscribers.tests.locks import InAnotherThread
from subscribers.tests.webhooks.meanwhile import before_update


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_order_of_rules_does_not_undo_what_a_colleague_saves_meanwhile():
    account = make_account()
    first, second = make_rule(account, key="hours"), make_rule(account, key="price")

    def save():
        rule = ReplyRule.objects.get(pk=first.pk)
        rule.name = "Opening hours"
        rule.save()

    def a_colleague_saves():
        saving = InAnotherThread(save)
        saving.start()
        saving.join()
        assert saving.failed == []

    with before_update("events_replyrule", a_colleague_saves):
        put_in_order(account.pk, [second.pk, first.pk])
    assert list(ReplyRule.objects.order_by("position").values_list("pk", "name")) == [
        (second.pk, second.name),
        (first.pk, "Opening hours"),
    ]

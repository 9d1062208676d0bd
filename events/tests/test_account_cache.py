from __future__ import annotations

import pytest
from django.db import OperationalError
from pytest_django import DjangoAssertNumQueries

from events import account_cache
from events.account_cache import account_with_key, live_rules
from events.answering.publish_rules import publish
from events.models import OfficialAccount, ReplyRule, RuleVersion
from events.models.fields import WrongEncryptionKey
from events.testing import make_account, make_rule

pytestmark = pytest.mark.django_db


class Clock:
    """Stands until it is moved, however busy the machine is."""

    at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def as_on_a_site(monkeypatch, nothing_remembered, clock):
    """Remembering as long as a running site does."""
    monkeypatch.undo()
    monkeypatch.setattr(account_cache, "time", clock)
    account_cache.forget()
    yield
    account_cache.forget()


@pytest.fixture
def account(as_on_a_site):
    return make_account()


def answers(account):
    """The names of the rules that answer followers."""
    rules = live_rules(account.pk)
    return [rule.name for rule in rules.rules] if rules else []


def test_what_is_known_costs_no_query(account, django_assert_num_queries: DjangoAssertNumQueries):
    assert account_with_key(account.callback_key) == account
    with django_assert_num_queries(0):
        assert account_with_key(account.callback_key) == account
        assert answers(account) == []


def test_a_change_made_elsewhere_is_noticed_within_a_second(account, clock):
    key = account.callback_key
    assert account_with_key(key).name == "shop"
    assert answers(account) == []
    # what another process writes sends no signal here
    OfficialAccount.objects.update(name="renamed")
    rule = ReplyRule(id=7, account=account, name="K", trigger={"on": "menu"}).rule
    RuleVersion.objects.bulk_create([RuleVersion(account=account, rules=[rule.to_json()])])
    clock.at += 1
    assert account_with_key(key).name == "renamed"
    assert answers(account) == ["K"]
    OfficialAccount.objects.update(is_active=False)
    RuleVersion.objects.update(is_live=False)
    clock.at += 1
    assert account_with_key(key) is None
    assert answers(account) == []


def test_rules_are_compiled_once(account, clock, monkeypatch):
    make_rule(account, "text", "K")
    former = live_rules(account.pk)
    OfficialAccount.objects.update(name="renamed")
    clock.at += 1
    assert account_with_key(account.callback_key).name == "renamed"
    assert live_rules(account.pk) is former


def test_rules_that_cannot_be_read_answer_nothing(account, clock):
    RuleVersion.objects.create(account=account, rules=[{"id": 1, "trigger": {"on": "x"}}])
    assert answers(account) == []
    assert account_with_key(account.callback_key) == account


def test_a_change_made_here_is_noticed_at_once(account):
    assert account_with_key(account.callback_key).name == "shop"
    rule = make_rule(account, "text", "K")
    assert answers(account) == ["K"]
    account.name = "renamed"
    account.save()
    assert account_with_key(account.callback_key).name == "renamed"
    rule.delete()
    publish(account.pk, user=None)
    assert answers(account) == []


def test_a_new_account_need_not_wait(account, clock):
    assert account_with_key(account.callback_key) == account
    OfficialAccount.objects.bulk_create(
        [OfficialAccount(slug="new", callback_key="k2", security_mode="plaintext")]
    )
    clock.at += 0.06
    assert account_with_key("k2").slug == "new"


def test_keys_that_are_tried_do_not_cost_a_query_each(
    account, django_assert_max_num_queries: DjangoAssertNumQueries
):
    with django_assert_max_num_queries(20):
        for number in range(500):
            assert account_with_key(f"guess-{number}") is None


def test_nothing_changed_decrypts_nothing(account, monkeypatch):
    assert account_with_key(account.callback_key) == account

    def refuse(*arguments):
        raise AssertionError("a secret was decrypted")

    monkeypatch.setattr("events.models.fields.EncryptedTextField.from_db_value", refuse)
    monkeypatch.setattr(account_cache, "_MAX_AGE", 0)
    assert account_with_key(account.callback_key) == account


def test_an_account_that_cannot_be_decrypted_leaves_the_others_alone(account):
    other = make_account("other")
    OfficialAccount.objects.filter(pk=other.pk).update(name="x")
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE events_officialaccount SET token = 'gAAAA-nonsense' WHERE id = %s", [other.pk]
        )
    account_cache.forget()
    assert account_with_key(account.callback_key) == account
    with pytest.raises(WrongEncryptionKey):
        account_with_key(other.callback_key)


def test_with_nothing_known_a_database_that_is_away_is_an_error(account, monkeypatch):
    account_cache.forget()

    def away(model):
        raise OperationalError("gone")

    monkeypatch.setattr(account_cache, "_stored", away)
    with pytest.raises(OperationalError):
        account_with_key(account.callback_key)

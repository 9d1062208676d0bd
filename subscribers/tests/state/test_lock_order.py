"""All code locks followers in one order, in a database of any language."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from events.testing import make_account, message_xml, push
from subscribers.fold.rules import State
from subscribers.models import Binding, Subscriber
from subscribers.sync import profiles
from subscribers.tests.locks import InAnotherThread, wait_for_a_lock
from wechat_site.tests.signin.people import browser_of

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def english():
    """Sorts OpenIDs as an English dictionary does, which many databases do."""

    def sort_by(collation):
        # In the catalog, because views depend on the column, so that no ALTER TABLE changes it.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE pg_attribute SET attcollation = "
                "(SELECT oid FROM pg_collation WHERE collname = %s) "
                "WHERE attrelid = %s::regclass AND attname = 'openid'",
                [collation, Subscriber._meta.db_table],
            )

    sort_by("en-x-icu")
    yield
    sort_by("default")


@pytest.fixture
def account(english):
    account = make_account()
    for openid in ("oZ", "oa"):
        push(account, message_xml("event.subscribe", openid=openid))
    return account


def keep_profiles():
    profiles._keep(list(Subscriber.objects.select_related("account")), {}, timezone.now())


def unbind_all():
    browser = browser_of(User.objects.get(username="root"))
    chosen = list(Binding.objects.values_list("pk", flat=True))
    action = {"action": "unbind", "_selected_action": chosen}
    browser.post(reverse("admin:subscribers_binding_changelist"), action)
    assert not Binding.objects.active().exists()


@pytest.mark.parametrize("act", [keep_profiles, unbind_all])
def test_who_locks_several_followers_waits_for_a_fold_of_them(account, act):
    User.objects.create_superuser("root")
    for openid in ("oZ", "oa"):
        Binding.objects.create(
            account=account,
            subscriber=Subscriber.objects.get(openid=openid),
            user=User.objects.create_user(openid),
            bound_at=timezone.now(),
            event_id=1,
            event_time=timezone.now(),
        )
    acting = InAnotherThread(act)
    with transaction.atomic():
        # A statement folds both in this order; here another connection acts between the two.
        Subscriber.objects.fold({(account.pk, "oZ"): State()})
        acting.start()
        wait_for_a_lock(acting)
        Subscriber.objects.fold({(account.pk, "oa"): State()})
    acting.join()
    assert acting.failed == []

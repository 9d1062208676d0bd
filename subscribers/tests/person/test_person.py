"""One person across accounts: the page, and what each viewer sees of it."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from events.models import AccountLimit, AuditEntry
from events.testing import make_account, message_xml, push
from subscribers.models import Binding, Subscriber

pytestmark = pytest.mark.django_db

NOW = int(timezone.now().timestamp())


@pytest.fixture
def people():
    """Ling under two accounts, and somebody else under the second."""
    found = {}
    for slug, openid, word in (("books", "oBooksLing", "novels"), ("hats", "oHatsLing", "bowlers")):
        account = make_account(slug, mode="plaintext", original_id=f"gh_{slug}", name=slug.title())
        push(account, message_xml(openid=openid, at=NOW - 60, to=account.original_id))
        said = {"Content": word, "MsgId": "1", "to": account.original_id}
        push(account, message_xml("text", openid=openid, at=NOW - 30, **said))
        found[slug] = Subscriber.objects.get(openid=openid)
    Subscriber.objects.update(unionid="union-ling")
    push(account, message_xml(openid="oOther", at=NOW, to=account.original_id))
    user = User.objects.create_user("ling")
    for follower in found.values():
        bound = timezone.now() - datetime.timedelta(minutes=1)
        Binding.objects.create(
            account=follower.account, subscriber=follower, user=user, bound_at=bound,
            event_id=1, event_time=bound,
        )  # fmt: skip
    return found


def page(browser, subscriber):
    first = browser.get(f"/admin/subscribers/subscriber/{subscriber.pk}/person/", follow=True)
    return first, first.content.decode()


def test_the_page_joins_both_accounts_in_one_timeline(operator, people):
    answer, text = page(operator, people["books"])
    assert answer.status_code == 200
    for words in ("Books", "Hats", "oBooksLing", "oHatsLing", "novels", "bowlers", "union-ling"):
        assert words in text
    assert text.count("bound to ling") == 2
    assert "oOther" not in text
    times = [each["at"] for each in answer.context["moments"]]
    assert times == sorted(times, reverse=True)
    looked = AuditEntry.objects.filter(act="look", model="subscribers.subscriber")
    assert {int(entry.object_id) for entry in looked} == {each.pk for each in people.values()}


def test_a_follower_without_a_unionid_is_alone(operator, people):
    Subscriber.objects.update(unionid="")
    _answer, text = page(operator, people["books"])
    assert "has no UnionID" in text
    assert "oHatsLing" not in text


@pytest.mark.parametrize("role", ["administrator", "operator", "agent", "analyst"])
def test_operators_of_one_account_see_nothing_of_the_other(people, role):
    user = User.objects.create_user("staff", is_staff=True)
    user.groups.add(Group.objects.get(made_as__key=role))
    AccountLimit.objects.create(user=user).accounts.add(people["books"].account)
    browser = Client()
    browser.force_login(user)
    answer, text = page(browser, people["books"])
    assert answer.status_code == 200
    assert "oBooksLing" in text
    assert ("novels" in text) == (role in {"administrator", "agent"})
    assert ("ling" in text.replace("union-ling", "")) == (role == "administrator")
    for words in ("Hats", "oHatsLing", "bowlers"):
        assert words not in text
    url = f"/admin/subscribers/subscriber/{people['hats'].pk}/person/"
    assert browser.get(url).status_code in {302, 404}


def test_the_page_of_a_site_user_shows_the_bindings_that_the_viewer_may_see(operator, people):
    ling = User.objects.get(username="ling")
    text = operator.get(f"/admin/auth/user/{ling.pk}/change/").content.decode()
    assert "oBooksLing" in text
    assert "oHatsLing" in text
    auditor = User.objects.create_user("auditor", is_staff=True)
    auditor.groups.add(Group.objects.get(made_as__key="auditor"))
    AccountLimit.objects.create(user=auditor).accounts.add(people["hats"].account)
    browser = Client()
    browser.force_login(auditor)
    text = browser.get(f"/admin/auth/user/{ling.pk}/change/").content.decode()
    assert "Hats" in text
    assert "Books" not in text
    # This role sees no OpenID whole.
    assert "oHatsLing" not in text

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models.account import ACCOUNT_SECRETS
from events.testing import make_account, message_xml, push
from events.wechat.api import NotPermitted
from subscribers.models import FollowerSync, ProfileFetch, Subscriber

pytestmark = pytest.mark.django_db

LIST = reverse("admin:subscribers_followersync_changelist")
START = reverse("admin:subscribers_followersync_add")


@pytest.fixture
def account():
    return make_account(name="Spruce Books", app_secret="secret")


def page_of(sync):
    return reverse("admin:subscribers_followersync_change", args=[sync.pk])


def page_of_account(account):
    return reverse("admin:events_officialaccount_change", args=[account.pk])


def begin(account, **columns) -> FollowerSync:
    sync, _ = FollowerSync.objects.begin(account, origin="operator", now=timezone.now())
    FollowerSync.objects.filter(pk=sync.pk).update(**columns)
    sync.refresh_from_db()
    return sync


def refuse(account):
    error = NotPermitted("/cgi-bin/user/get", 48001, "api unauthorized rid: 6-7-8")
    ProfileFetch.objects.refuse(account, error, timezone.now())


@pytest.mark.parametrize(
    "page",
    [lambda account: page_of_account(account), lambda account: reverse(
        "admin:subscribers_subscriber_changelist"
    )],
)  # fmt: skip
def test_the_buttons_lead_to_the_start_of_a_sync(operator, account, page):
    html = operator.get(page(account)).content.decode()
    assert "Sync followers" in html
    for name, arguments in (
        ("events_officialaccount_sync_followers", [account.pk]),
        ("subscribers_subscriber_sync_followers", []),
    ):
        answer = operator.get(reverse(f"admin:{name}", args=arguments))
        assert answer.url.startswith(START)


def test_the_start_page_reads_no_secrets_of_accounts(operator, account):
    with CaptureQueriesContext(connection) as queries:
        assert account.name in operator.get(START).content.decode()
    read = [query["sql"].partition(" FROM ")[0] + "," for query in queries]
    assert any('"events_officialaccount"."name",' in columns for columns in read)
    assert not [name for name in ACCOUNT_SECRETS for columns in read if f'."{name}",' in columns]


def test_an_operator_starts_a_sync(operator, account):
    make_account("other")
    form = operator.get(START, {"account": account.pk}).context["adminform"].form
    assert list(form.fields["account"].queryset) == [account]
    assert form.initial["account"] == str(account.pk)
    answer = operator.post(START, {"account": account.pk})
    sync = FollowerSync.objects.get()
    assert answer.url == page_of(sync)
    assert (sync.origin, sync.requested_by.username) == ("operator", "operator")
    assert sync.due_at <= timezone.now()


def test_a_sync_under_way_is_shown_instead_of_another(operator, account):
    sync = begin(account, due_at=timezone.now() + datetime.timedelta(hours=3))
    answer = operator.post(START, {"account": account.pk}, follow=True)
    assert FollowerSync.objects.get() == sync
    assert "already under way" in answer.content.decode()
    assert FollowerSync.objects.get().due_at <= timezone.now()


def test_progress_refreshes_itself_until_the_end(operator, account):
    sync = begin(
        account,
        started_at=timezone.now(), total=2000, seen=500, new=400, unchanged=100,
        leased_until=timezone.now() + datetime.timedelta(minutes=5), lease="x",
    )  # fmt: skip
    html = operator.get(page_of(sync)).content.decode()
    assert 'id="follower-sync" data-refresh-seconds="2"' in html
    assert '<progress max="2000" value="500"></progress> 500 / 2000' in html
    assert "reading WeChat&#x27;s list" in html
    assert "wechat_site/live.js" in html
    FollowerSync.objects.update(
        state="finished", finished_at=timezone.now(), due_at=None, seen=2000, missed_unfollows=7
    )
    html = operator.get(page_of(sync)).content.decode()
    assert "data-refresh-seconds" not in html
    assert "<tr><th>Missed unfollows</th><td>7</td></tr>" in html
    assert "left meanwhile" not in html.lower()


def test_a_failed_sync_says_why_and_can_be_tried_again(operator, account):
    sync = begin(
        account, due_at=None, failure="address", failed_at=timezone.now(),
        failure_text="/cgi-bin/user/get: 40164 invalid ip (rid 6-7-8)",
    )  # fmt: skip
    again = reverse("admin:subscribers_followersync_try_this_again", args=[sync.pk])
    html = operator.get(page_of(sync)).content.decode()
    assert "IP address is not on the account&#x27;s list" in html
    assert "rid 6-7-8" in html
    assert again in html
    assert (
        "Follower sync failed: Spruce Books"
        in operator.get(reverse("admin:index")).content.decode()
    )
    assert operator.get(again).status_code == 200
    assert FollowerSync.objects.get().has_failed
    operator.post(again)
    assert not FollowerSync.objects.get().has_failed
    assert again not in operator.get(page_of(sync)).content.decode()
    html = operator.get(reverse("admin:index")).content.decode()
    assert "Follower sync failed" not in html


def test_failed_syncs_are_tried_again_from_the_list(operator, account):
    sync = begin(account, due_at=None, failure="address", failed_at=timezone.now())
    choice = {"action": "try_again", "_selected_action": [sync.pk]}
    assert "1 sync goes on." in operator.post(LIST, choice, follow=True).content.decode()
    assert "Only failed syncs" in operator.post(LIST, choice, follow=True).content.decode()


def test_a_refused_account_is_told_and_asked_again_only_on_purpose(operator, account):
    assert "Ask WeChat again" not in operator.get(START).content.decode()
    refuse(account)
    assert "48001" in operator.get(page_of_account(account)).content.decode()
    assert "Followers not accessible (48001): Spruce Books" in (
        operator.get(reverse("admin:index")).content.decode()
    )
    assert "Ask WeChat again" in operator.get(START).content.decode()
    html = operator.post(START, {"account": account.pk}).content.decode()
    assert "that takes a certified account" in html
    assert not FollowerSync.objects.exists()
    operator.post(START, {"account": account.pk, "ask_again": "on"})
    assert FollowerSync.objects.exists()


def test_a_refusal_is_on_the_dashboard_for_a_week(operator, account):
    refuse(account)
    ProfileFetch.objects.update(failed_at=timezone.now() - datetime.timedelta(days=8))
    assert "48001" not in operator.get(reverse("admin:index")).content.decode()


def test_the_fetching_of_profiles_is_tried_again(operator, account):
    refuse(account)
    url = reverse("admin:subscribers_profilefetch_changelist")
    assert "api unauthorized" in operator.get(url).content.decode()
    choice = {"action": "try_again", "_selected_action": [account.pk]}
    operator.post(url, choice)
    assert ProfileFetch.objects.get().due_at is not None


def test_a_profile_is_asked_for_anew(operator, account):
    push(account, message_xml("event.subscribe"))
    follower = Subscriber.objects.get()
    choice = {"action": "refresh_profiles", "_selected_action": [follower.pk]}
    url = reverse("admin:subscribers_subscriber_changelist")
    assert "for 1 profile." in operator.post(url, choice, follow=True).content.decode()
    assert Subscriber.objects.get().refresh_requested_at is not None


@pytest.mark.parametrize(
    ("permission", "code"), [("view_followersync", 403), ("add_followersync", 200)]
)
def test_starting_takes_the_permission_to(client, account, permission, code):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(
        Permission.objects.get(codename="view_followersync"),
        Permission.objects.get(codename=permission),
    )
    client.force_login(user)
    assert client.get(LIST).status_code == 200
    assert client.get(START).status_code == code


def test_a_list_of_runs_costs_the_same_however_long(operator, account):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(LIST).status_code == 200
        return len(queries.captured_queries)

    FollowerSync.objects.update(state="finished", finished_at=timezone.now(), due_at=None)
    few = statements()
    for _ in range(70):
        begin(account, state="finished", finished_at=timezone.now(), due_at=None)
    assert statements() <= few + 1

"""Distinct people of several accounts, beside a count that knows nothing of the tables."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.models import AccountLimit, ApiKey, OfficialAccount
from events.stats.days import Days
from events.testing import make_account
from subscribers.models import FollowingInterval, Subscriber
from subscribers.stats.reading.distinct_people import PeopleRow, distinct_people

pytestmark = pytest.mark.django_db

UTC = datetime.UTC
FIRST, LAST = datetime.date(2026, 11, 3), datetime.date(2026, 11, 4)
HOURS = datetime.timedelta(hours=1)
BEGIN = datetime.datetime(2026, 11, 1, tzinfo=UTC)
# Accounts whose days begin at other moments.
ZONES = ("Asia/Shanghai", "America/New_York")

# By hours since BEGIN: one spell of following, or one that lasts.
spells = st.tuples(st.integers(0, 120), st.none() | st.integers(1, 60)).map(
    lambda given: (given[0], None if given[1] is None else given[0] + given[1])
)
followers = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from(["", "a", "b", "c"]), spells), max_size=12
)


def midnight(day: datetime.date, account: OfficialAccount) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), tzinfo=account.zone)


def counted_by_hand(accounts, people):
    names = ("following", "began_following", "left")
    found = {name: [] for name in names}
    for number, (which, union, (start, end)) in enumerate(people):
        account = accounts[which]
        begin, over = midnight(FIRST, account), midnight(LAST + 24 * HOURS, account)
        started = BEGIN + start * HOURS
        ended = None if end is None else BEGIN + end * HOURS
        person = (number, union)
        if started < over and (ended is None or ended >= over):
            found["following"].append(person)
        if begin <= started < over:
            found["began_following"].append(person)
        if ended is not None and begin <= ended < over:
            found["left"].append(person)
    return [
        PeopleRow(
            name,
            len(those),
            len({union or number for number, union in those}),
            sum(not union for _number, union in those),
        )
        for name, those in found.items()
    ]


@pytest.fixture
def accounts():
    return [
        make_account(f"a{number}", original_id=f"gh_{number}", time_zone=zone)
        for number, zone in enumerate(ZONES)
    ]


def store(accounts, people):
    FollowingInterval.objects.all().delete()
    Subscriber.objects.all().delete()
    now = timezone.now()
    for number, (which, union, (start, end)) in enumerate(people):
        account = accounts[which]
        Subscriber.objects.create(
            account=account, openid=f"o{number}", unionid=union, updated_at=now
        )
        FollowingInterval.objects.create(
            account=account,
            openid=f"o{number}",
            started_at=BEGIN + start * HOURS,
            ended_at=None if end is None else BEGIN + end * HOURS,
        )


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(people=followers)
def test_the_numbers_are_those_of_a_count_by_hand(accounts, people):
    store(accounts, people)
    assert distinct_people(Days(accounts, FIRST, LAST)) == counted_by_hand(accounts, people)


def test_the_api_counts_the_accounts_that_the_key_sees(accounts):
    store(accounts, [(0, "u", (50, None)), (1, "u", (50, None)), (1, "", (50, None))])
    user = User.objects.create_superuser("ops")

    def results(**query):
        _row, key = ApiKey.issue(user=user, scopes=["stats:read"])
        browser = Client(headers={"Authorization": f"Bearer {key}"})
        days = {"from": "2026-11-01", "to": "2026-11-28"}
        return browser.get("/api/v1/stats/people/", {**days, **query})

    answer = results()
    assert answer.status_code == 200
    following = {"measure": "following", "followers": 3, "people": 2, "unknown": 1}
    assert answer.json()["results"][0] == following
    assert answer.json()["time_zone"] == ""
    assert results(account="a1").json()["results"][0]["followers"] == 2
    assert results(account="a0,a1").json()["results"][0]["people"] == 2
    assert results(account="a0,nobody").status_code == 400
    user = User.objects.create_user("limited", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_statistics"))
    AccountLimit.objects.create(user=user).accounts.add(accounts[0])
    user = User.objects.get(pk=user.pk)
    assert results().json()["results"][0]["followers"] == 1
    assert results(account="a1").status_code == 400

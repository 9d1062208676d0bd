"""Profiles that the worker fetches, and seconds that WeChat decides."""

from __future__ import annotations

import datetime
from random import Random

import pytest
from django.utils import timezone

from events.log.process import deliver
from events.models import EventLog
from events.platform import client
from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault, ListedFollowers
from events.testing import make_account
from subscribers.models import Erasure, ProfileFetch, Subscriber
from subscribers.personal_data.requests import request_erasure
from subscribers.sync import profiles as profiles_module
from subscribers.sync.profiles import fetch_batch, fetch_profiles
from subscribers.tests.sync.meanwhile import erase_while_wechat_answers

SECRET = "5d41402abc4b2a76b9719d911017c592"
BATCHGET = "/cgi-bin/user/info/batchget"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]


@pytest.fixture
def account():
    return make_account(app_secret=SECRET)


@pytest.fixture
def people():
    return ListedFollowers()


@pytest.fixture
def fake(account, people):
    made = FakeWeChatAPI(random=Random(1))
    made.add_account(account.app_id, SECRET, followers=people)
    return made


@pytest.fixture(autouse=True)
def server(fake, settings):
    with FakeWeChatAPIServer(fake) as running:
        settings.WECHAT_API_BASE = running.url
        yield running
        client.close_wire()


@pytest.fixture
def happened(account):
    """An event of a follower that was pushed, so many seconds before the test began."""
    begun = timezone.now()

    def store(kind: str, openid: str, *, ago: float = 60) -> None:
        now = timezone.now()
        moment = (begun - datetime.timedelta(seconds=ago)).replace(microsecond=0)
        deliver(
            [
                EventLog(
                    account=account,
                    dedup_key=f"{kind[-12:]}{openid}{moment:%H%M%S}"[-32:],
                    kind=kind,
                    openid=openid,
                    event_time=moment,
                    received_at=now,
                    last_delivered_at=now,
                    raw=b"",
                    status=EventLog.Status.PROCESSED,
                )
            ]
        )

    return store


@pytest.fixture
def is_following(people):
    def set_following(openid: str, following: bool, key: str = "") -> None:
        people.add(
            Follower(openid, is_following=following, followed_at=1_767_225_600, follow_key=key)
        )

    return set_following


def follower(openid: str) -> Subscriber:
    return Subscriber.objects.get(openid=openid)


def test_the_profile_of_a_new_follower_is_fetched_once(happened, is_following, fake, account):
    happened("event.subscribe", "o1")
    is_following("o1", True, key="qrscene_poster")
    fake.account(account.app_id).tagged.update({2: {"o1"}, 101: {"o1"}})
    assert fetch_profiles() == 1
    fetched = follower("o1")
    assert (fetched.subscribe_scene, fetched.qr_scene) == ("ADD_SCENE_QR_CODE", "poster")
    assert fetched.tag_ids == "2,101"
    assert fetched.profile_synced_at is not None
    assert fetch_profiles() == 0
    assert fake.calls[BATCHGET] == 1
    assert not EventLog.objects.exclude(source="callback").exists()


def test_a_binding_code_is_not_kept(happened, is_following):
    happened("event.subscribe", "o1")
    is_following("o1", True, key="qrscene_bind-" + "x" * 32)
    fetch_profiles()
    assert follower("o1").qr_scene == ""


def test_what_wechat_no_longer_tells_stays(happened, is_following):
    happened("event.subscribe", "o1")
    Subscriber.objects.update(unionid="u1", language="en", remark="old")
    is_following("o1", True)
    fetch_profiles()
    fetched = follower("o1")
    assert (fetched.unionid, fetched.language, fetched.remark) == ("u1", "en", "")


def test_newcomers_share_a_call(happened, is_following, fake):
    for number in range(120):
        happened("event.subscribe", f"o{number}")
        is_following(f"o{number}", True)
    assert fetch_profiles() == 120
    assert fake.calls[BATCHGET] == 2


def test_who_left_is_not_asked_for(happened, is_following, fake):
    happened("event.subscribe", "o1")
    happened("event.unsubscribe", "o1", ago=30)
    is_following("o1", False)
    assert fetch_profiles() == 0
    assert BATCHGET not in fake.calls


def test_an_answer_about_who_is_erased_meanwhile_makes_no_new_follower(
    account, happened, is_following, monkeypatch
):
    happened("event.subscribe", "oErased")
    happened("event.subscribe", "oStays")
    is_following("oErased", False)
    is_following("oStays", True)
    request = request_erasure(account, "oErased", reason=Erasure.Reason.REQUESTED)
    erase_while_wechat_answers(monkeypatch, request)
    fetch_profiles()
    assert not EventLog.objects.filter(openid="oErased").exists()
    assert not Subscriber.objects.filter(openid="oErased").exists()
    assert follower("oStays").profile_synced_at is not None


def test_an_openid_that_wechat_refuses_keeps_nobody_else_waiting(happened, is_following, fake):
    for openid in ("o1", "oOfAnotherAccount", "o2"):
        happened("event.subscribe", openid)
    is_following("o1", True)
    is_following("o2", True)
    assert fetch_profiles() == 3
    assert fetch_profiles() == 0
    assert follower("o2").subscribe_scene == "ADD_SCENE_SEARCH"
    assert follower("oOfAnotherAccount").is_following


# --- Asked for anew ---


def test_who_follows_again_came_by_another_way(happened, is_following, fake):
    happened("event.subscribe", "o1", ago=90)
    is_following("o1", True, key="qrscene_poster")
    assert fetch_profiles() == 1
    Subscriber.objects.update(profile_synced_at=timezone.now() - datetime.timedelta(seconds=80))
    happened("text", "o1", ago=70)
    happened("event.subscribe", "o1", ago=100)
    assert fetch_profiles() == 0
    happened("event.unsubscribe", "o1", ago=60)
    happened("event.subscribe", "o1", ago=30)
    is_following("o1", True)
    assert fetch_profiles() == 1
    assert (follower("o1").subscribe_scene, follower("o1").qr_scene) == ("ADD_SCENE_SEARCH", "")
    assert fetch_profiles() == 0


@pytest.mark.parametrize(
    ("follows", "kind"), [(True, "reconcile.follow"), (False, "reconcile.unfollow")]
)
def test_a_second_that_cannot_be_decided_is_settled_in_the_log(
    happened, is_following, follows, kind
):
    happened("event.subscribe", "o1")
    happened("event.unsubscribe", "o1")
    is_following("o1", follows)
    assert follower("o1").refresh_requested_at is not None
    assert fetch_profiles() == 1
    settled = follower("o1")
    assert (settled.is_following, settled.refresh_requested_at) == (follows, None)
    row = EventLog.objects.get(source="reconcile")
    assert (row.kind, row.openid) == (kind, "o1")
    assert fetch_profiles() == 0


def test_a_second_that_is_not_over_is_not_asked_about(happened, is_following, account):
    happened("event.subscribe", "o1", ago=-5)
    happened("event.unsubscribe", "o1", ago=-5)
    is_following("o1", True)
    assert fetch_profiles() == 0
    later = timezone.now() + datetime.timedelta(seconds=10)
    fetch_batch(account, client.client_for(account), now=lambda: later)
    assert follower("o1").is_following


def test_a_follow_that_was_missed_shows_when_the_profile_is_asked_for(happened, is_following):
    happened("event.subscribe", "o1", ago=90)
    happened("event.unsubscribe", "o1", ago=60)
    is_following("o1", True)
    Subscriber.objects.update(refresh_requested_at=timezone.now())
    fetch_profiles()
    assert follower("o1").is_following


def test_nobody_asks_again_for_somebody_wechat_does_not_know(happened, fake):
    happened("event.subscribe", "o1")
    happened("event.unsubscribe", "o1")
    assert fetch_profiles() == 1
    assert fetch_profiles() == 0


# --- Trouble ---


def test_a_failure_is_noted_on_the_account_and_tried_again(happened, is_following, fake):
    happened("event.subscribe", "o1")
    is_following("o1", True)
    fake.make_trouble(BATCHGET, Fault(errcode=-1))
    assert fetch_profiles() == 0
    access = ProfileFetch.objects.get()
    assert access.failure == "busy"
    assert access.due_at is not None
    assert access.due_at > timezone.now()
    assert fetch_profiles() == 0
    ProfileFetch.objects.update(due_at=timezone.now())
    assert fetch_profiles() == 1
    access.refresh_from_db()
    assert (access.failure, access.attempts) == ("", 0)


def test_what_an_operator_has_to_put_right_waits_until_the_account_changes(
    happened, is_following, fake, account
):
    happened("event.subscribe", "o1")
    is_following("o1", True)
    fake.account(account.app_id).is_certified = False
    assert fetch_profiles() == 0
    assert ProfileFetch.objects.get().is_refused
    assert fetch_profiles() == 0
    assert fake.calls[BATCHGET] == 1
    fake.account(account.app_id).is_certified = True
    account.save()
    assert fetch_profiles() == 1


def test_a_fault_with_one_account_keeps_no_other_waiting(
    happened, is_following, fake, account, people, monkeypatch
):
    other = make_account("other", app_id="wx0000000000000000", app_secret=SECRET)
    fake.add_account(other.app_id, SECRET, followers=people)
    happened("event.subscribe", "o1")
    is_following("o1", True)
    Subscriber.objects.create(
        account=other, openid="o1", last_followed_at=timezone.now(), updated_at=timezone.now()
    )
    keep = profiles_module._keep

    def fail_for_one(asked, *arguments):
        assert asked[0].account == other, "nobody\0 knows"
        keep(asked, *arguments)

    monkeypatch.setattr(profiles_module, "_keep", fail_for_one)
    assert fetch_profiles() == 1
    access = ProfileFetch.objects.exclude(failure="").get()
    assert (access.account, access.failure) == (account, "fault")
    assert access.failure_text.startswith("AssertionError: nobody knows")
    assert access.due_at > timezone.now()
    # What is not in the log is not a follower.
    Subscriber.objects.filter(account=other).delete()


def test_a_killed_worker_holds_an_account_only_for_its_lease(happened, is_following, account):
    happened("event.subscribe", "o1")
    is_following("o1", True)
    ProfileFetch.objects.of(account)
    now = timezone.now()
    ProfileFetch.objects.claim(now, limit=1, lease=datetime.timedelta(minutes=5))
    assert fetch_profiles() == 0
    ProfileFetch.objects.update(leased_until=now)
    assert fetch_profiles() == 1

"""Follower syncs against the fake platform: what they find, enter, count and survive."""

from __future__ import annotations

import datetime
import io
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone, translation

from events.jobs.queues import JobQueue
from events.log.process import deliver
from events.models import EventLog, SharedAccessToken
from events.platform import client
from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault, ListedFollowers
from events.testing import make_account
from events.wechat.api import AppCredentials
from subscribers.models import Erasure, FollowerSync, ProfileFetch, Subscriber
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.sync import compare as sync_module
from subscribers.sync import read_list
from subscribers.sync.compare import carry_on, sync_next
from subscribers.sync.profiles import fetch_profiles
from subscribers.sync.schedule import begin_daily
from subscribers.tests.in_process import in_process_client
from subscribers.tests.sync.meanwhile import erase_while_wechat_answers

SECRET = "5d41402abc4b2a76b9719d911017c592"
FOLLOWED = 1_767_225_600
PAGE, INFOS = "/cgi-bin/user/get", "/cgi-bin/user/info/batchget"

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
def follow_there(people):
    def follow(*openids: str, at: int = FOLLOWED, key: str = "") -> None:
        for openid in openids:
            people.add(Follower(openid, is_following=True, followed_at=at, follow_key=key))

    return follow


@pytest.fixture
def leave_there(people):
    def leave(*openids: str) -> None:
        for openid in openids:
            people.add(Follower(openid))

    return leave


@pytest.fixture
def happened(account):
    """An event of a follower that was pushed, so many seconds ago."""

    def store(kind: str, openid: str, *, ago: float = 3600) -> None:
        now = timezone.now()
        moment = (now - datetime.timedelta(seconds=ago)).replace(microsecond=0)
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
def run(account):
    """Begins a sync and carries it on until it ends or fails; returns it."""

    def run() -> FollowerSync:
        sync, _ = FollowerSync.objects.begin(account, origin="command", now=timezone.now())
        while sync.due_at is not None and sync.due_at <= timezone.now() and sync_next():
            sync.refresh_from_db()
        sync.refresh_from_db()
        return sync

    return run


def english(sync):
    with translation.override("en"):
        return sync.reason


def report(sync: FollowerSync) -> dict[str, int]:
    names = ("seen", "new", "missed_follows", "missed_unfollows", "unchanged", "left", "unknown")
    return {name: count for name in names if (count := getattr(sync, name))}


def following() -> set[str]:
    return set(Subscriber.objects.filter(is_following=True).values_list("openid", flat=True))


def test_each_kind_of_difference_is_found_and_reported(
    run, happened, follow_there, leave_there, account
):
    follow_there("oNew", key="qrscene_poster")
    follow_there("oMissedFollow", "oSame")
    leave_there("oMissedUnfollow", "oGone")
    happened("event.subscribe", "oMissedFollow", ago=9000)
    happened("event.unsubscribe", "oMissedFollow")
    happened("event.subscribe", "oSame")
    happened("text", "oMissedUnfollow")
    happened("event.unsubscribe", "oGone")
    before = timezone.now()

    sync = run()

    assert sync.state == "finished"
    assert report(sync) == {
        "seen": 3, "new": 1, "missed_follows": 1, "missed_unfollows": 1, "unchanged": 1
    }  # fmt: skip
    assert following() == {"oNew", "oMissedFollow", "oSame"}
    rows = {row.openid: row for row in EventLog.objects.exclude(source="callback")}
    assert {openid: (row.source, row.kind) for openid, row in rows.items()} == {
        "oNew": ("import", "import.follower"),
        "oMissedFollow": ("reconcile", "reconcile.follow"),
        "oMissedUnfollow": ("reconcile", "reconcile.unfollow"),
    }
    assert rows["oMissedUnfollow"].event_time == sync.started_at
    assert rows["oNew"].event_time >= before.replace(microsecond=0)
    assert {row.status for row in rows.values()} == {"processed"}
    new = Subscriber.objects.get(openid="oNew")
    assert new.first_followed_at == datetime.datetime.fromtimestamp(FOLLOWED, datetime.UTC)
    assert new.last_seen_at == rows["oNew"].event_time
    assert (new.follow_count, new.unfollow_count, new.event_count) == (0, 0, 0)
    assert (new.subscribe_scene, new.qr_scene) == ("ADD_SCENE_QR_CODE", "poster")
    assert new.profile_synced_at is not None


@pytest.mark.parametrize("follows_there", [True, False])
def test_an_answer_about_who_is_erased_meanwhile_makes_no_new_follower(
    account, follow_there, leave_there, happened, run, monkeypatch, follows_there
):
    happened("event.subscribe", "oErased")
    happened("event.subscribe", "oStays")
    follow_there("oStays")
    if follows_there:
        happened("event.unsubscribe", "oErased", ago=1800)
        follow_there("oErased")
    else:
        leave_there("oErased")
    request = request_erasure(account, "oErased", reason=Erasure.Reason.REQUESTED)
    erase_while_wechat_answers(monkeypatch, request)
    sync = run()
    assert sync.state == FollowerSync.State.FINISHED
    assert not EventLog.objects.filter(openid="oErased").exists()
    assert not Subscriber.objects.filter(openid="oErased").exists()
    assert Subscriber.objects.get(openid="oStays").is_following


def test_who_was_erased_is_not_imported_until_they_follow_again(
    run, happened, follow_there, account
):
    follow_there("oErased", "oOther")
    for openid in ("oErased", "oOther"):
        happened("event.subscribe", openid)
    erase(request_erasure(account, "oErased", reason=Erasure.Reason.REQUESTED))
    before = following()

    assert report(run()) == {"seen": 2, "unchanged": 2}
    assert following() == before
    assert not EventLog.objects.filter(openid="oErased").exists()

    follow_there("oErased", at=int(timezone.now().timestamp()) + 1)
    assert report(run()) == {"seen": 2, "new": 1, "unchanged": 1}
    assert following() == before | {"oErased"}


def test_a_second_run_changes_nothing(run, happened, follow_there, leave_there):
    follow_there(*(f"o{number}" for number in range(30)))
    leave_there("oLeft")
    happened("event.subscribe", "oLeft")
    run()
    rows = EventLog.objects.count()
    followers = list(Subscriber.objects.order_by("pk").values("pk", "openid", "updated_at"))
    assert report(run()) == {"seen": 30, "unchanged": 30}
    assert EventLog.objects.count() == rows
    assert list(Subscriber.objects.order_by("pk").values("pk", "openid", "updated_at")) == followers


def test_somebody_known_by_a_card_alone_is_new(run, happened, follow_there):
    happened("event.user_get_card", "o1")
    follow_there("o1")
    assert report(run()) == {"seen": 1, "new": 1}


def test_an_unlisted_follower_who_did_something_since_is_left_alone(run, happened, leave_there):
    leave_there("o1")
    happened("event.subscribe", "o1", ago=-30)
    assert report(run()) == {}
    assert following() == {"o1"}


def test_an_unlisted_follower_is_asked_for_before_he_is_gone(run, happened, follow_there, people):
    happened("event.subscribe", "o1")
    follow_there("o1")
    people.page = lambda after, limit: []
    assert report(run()) == {"seen": 1, "unchanged": 1}
    assert following() == {"o1"}


def test_openids_that_wechat_refuses_are_told_apart(run, happened, follow_there):
    follow_there(*(f"o{number:03}" for number in range(250)))
    happened("event.subscribe", "oOfAnotherAccount")
    sync = run()
    assert report(sync) == {"seen": 250, "new": 250, "unknown": 1}
    assert "oOfAnotherAccount" in following()


def test_that_nobody_of_ours_is_known_stops_the_run(run, happened, follow_there):
    follow_there("oStranger")
    for number in range(25):
        happened("event.subscribe", f"o{number}")
    sync = run()
    assert sync.has_failed
    assert sync.failure == "wrong_account"
    assert "Is the AppID the right one?" in english(sync)
    assert len(following()) == 25
    assert not EventLog.objects.exclude(source="callback").exists()


def test_pages_are_followed_to_their_end(run, follow_there, fake, account):
    fake.account(account.app_id).page_size = 7
    follow_there(*(f"o{number:03}" for number in range(50)))
    assert report(run()) == {"seen": 50, "new": 50}
    assert fake.calls[PAGE] == 9


def test_a_place_that_wechat_no_longer_knows_begins_the_list_again(
    run, follow_there, fake, account, monkeypatch
):
    monkeypatch.setattr(sync_module, "SLICE", -1)
    fake.account(account.app_id).page_size = 7
    follow_there(*(f"o{number:03}" for number in range(20)))
    FollowerSync.objects.begin(account, origin="command", now=timezone.now())
    while FollowerSync.objects.get().next_openid == "":
        sync_next()
    FollowerSync.objects.update(next_openid="oNobody")
    assert report(run()) == {"seen": 20, "new": 20}


# --- Going on ---


@pytest.mark.parametrize("path", [PAGE, INFOS])
def test_a_run_goes_on_where_it_stopped(run, follow_there, happened, leave_there, fake, path):
    follow_there(*(f"o{number:04}" for number in range(1200)))
    leave_there("oLeft")
    happened("event.subscribe", "oLeft")
    fake.make_trouble(path, Fault(errcode=-1))
    sync = run()
    assert (sync.failure, sync.attempts) == ("busy", 1)
    assert "-1 system error" in sync.failure_text
    assert sync.due_at is not None
    assert 20 < (sync.due_at - timezone.now()).total_seconds() < 40
    FollowerSync.objects.update(due_at=timezone.now())
    sync = run()
    assert (sync.state, sync.failure) == ("finished", "")
    assert report(sync) == {"seen": 1200, "new": 1200, "missed_unfollows": 1}


def test_a_slice_ends_and_the_next_goes_on(run, follow_there, account, monkeypatch):
    monkeypatch.setattr(sync_module, "SLICE", -1)
    monkeypatch.setattr(read_list, "CHUNK", 10)
    follow_there(*(f"o{number:03}" for number in range(35)))
    FollowerSync.objects.begin(account, origin="command", now=timezone.now())
    assert sync_next() == 10
    sync = FollowerSync.objects.get()
    assert (report(sync), sync.lease) == ({"seen": 10, "new": 10}, "")
    assert report(run()) == {"seen": 35, "new": 35}


def test_the_daily_quota_puts_off_until_beijings_midnight(run, follow_there, fake, account):
    follow_there("o1")
    fake.account(account.app_id).exhaust_quota(PAGE)
    for _ in range(8):
        FollowerSync.objects.update(due_at=timezone.now())
        sync = run()
    beijing = datetime.timezone(datetime.timedelta(hours=8))
    assert sync.due_at is not None
    assert f"{sync.due_at.astimezone(beijing):%H:%M}" == "00:02"
    assert sync.failure == "daily_quota"


def test_a_token_that_does_not_work_puts_off(run, follow_there, fake):
    follow_there("o1")
    fake.make_trouble(PAGE, Fault(errcode=42001, times=2))
    sync = run()
    assert (sync.failure, sync.has_failed) == ("token", False)


def test_what_only_an_operator_can_put_right_waits_for_him(run, follow_there, fake, account):
    follow_there("o1")
    fake.account(account.app_id).allowed_addresses = frozenset()
    sync = run()
    assert sync.has_failed
    assert sync.failure == "address"
    assert "rid" in sync.failure_text
    fake.account(account.app_id).allowed_addresses = None
    account.save()  # ends the pause of the token
    assert FollowerSync.objects.try_again(timezone.now()) == 1
    assert report(run()) == {"seen": 1, "new": 1}


def test_whoever_left_meanwhile_is_counted_once_however_the_run_is_cut(
    run, follow_there, leave_there, people, account, monkeypatch
):
    monkeypatch.setattr(sync_module, "SLICE", -1)
    monkeypatch.setattr(read_list, "CHUNK", 4)
    follow_there(*(f"o{number:02}" for number in range(20)))
    listed = people.page("", 100)
    people.page = lambda after, limit: [openid for openid in listed if openid > after]
    leave_there(*(f"o{number:02}" for number in range(0, 20, 3)))
    assert report(run()) == {"seen": 20, "new": 13, "left": 7}


def test_pages_that_overlap_and_a_list_that_moves_count_nobody_twice(
    run, follow_there, happened, people, fake, account
):
    fake.account(account.app_id).page_size = 10
    openids = [f"o{number:02}" for number in range(40)]
    follow_there(*openids)
    happened("event.subscribe", "o07")
    page_of = people.page

    def moving(after, limit):
        page = page_of(after, limit)
        # Some of the first page once more. And somebody comes who belongs on a page that was read.
        follow_there(f"{after}a" if after else "o00a")
        return openids[4:7] + page if page else page

    people.page = moving
    assert report(run()) == {"seen": 40, "new": 39, "unchanged": 1}
    assert following() == set(openids)
    people.page = page_of
    assert report(run()) == {"seen": 45, "new": 5, "unchanged": 40}


def test_a_list_that_goes_round_ends_the_run(run, follow_there, people, fake, account, monkeypatch):
    monkeypatch.setattr(read_list, "_MARGIN", 10)
    follow_there(*(f"o{number}" for number in range(6)))
    people.page = lambda after, limit: ["o1", "o2"] if after in {"", "o4"} else ["o3", "o4"]
    sync = run()
    assert (sync.failure, sync.has_failed) == ("endless_list", True)
    assert "does not end" in english(sync)
    assert fake.calls[PAGE] == 21
    del people.page
    FollowerSync.objects.failed().try_again(timezone.now())
    sync.refresh_from_db()
    assert report(run()) == {"seen": 6, "new": 6}
    assert FollowerSync.objects.count() == 1


def test_the_daily_quota_in_the_middle_loses_nothing(
    run, follow_there, leave_there, happened, people, fake, account
):
    follow_there(*(f"o{number:04}" for number in range(1200)))
    leave_there("oLeft")
    happened("event.subscribe", "oLeft")
    find = people.find

    def find_until_the_quota_ends(openid):
        if openid == "o0750":
            fake.account(account.app_id).exhaust_quota(INFOS)
        return find(openid)

    people.find = find_until_the_quota_ends
    sync = run()
    assert (sync.failure, sync.due_at > timezone.now()) == ("daily_quota", True)
    # 500 are stored together
    assert report(sync) == {"seen": 500, "new": 500}
    people.find = find
    there = fake.account(account.app_id)
    there.quotas = type(there.quotas)()
    FollowerSync.objects.update(due_at=timezone.now())
    assert report(run()) == {"seen": 1200, "new": 1200, "missed_unfollows": 1}


def test_tokens_that_end_in_the_middle_are_fetched_anew(run, follow_there, people, fake, account):
    run()
    # A token as new as this one is not replaced.
    SharedAccessToken.objects.update(refreshed_at=timezone.now() - datetime.timedelta(minutes=5))
    follow_there(*(f"o{number:04}" for number in range(700)))
    find = people.find

    def find_while_tokens_end(openid):
        if openid == "o0250":
            fake.account(account.app_id).expire_tokens()
        return find(openid)

    people.find = find_while_tokens_end
    sync = run()
    assert (sync.state, report(sync)) == ("finished", {"seen": 700, "new": 700})
    assert fake.calls["/cgi-bin/stable_token"] == 2


def test_a_platform_that_does_not_answer_in_time_puts_off(run, follow_there, fake, settings):
    usual = settings.WECHAT_API_READ_TIMEOUT
    settings.WECHAT_API_READ_TIMEOUT = 0.3
    follow_there("o1")
    fake.make_trouble(INFOS, Fault(delay=3))
    sync = run()
    assert (sync.failure, sync.attempts, sync.has_failed) == ("unreachable", 1, False)
    settings.WECHAT_API_READ_TIMEOUT = usual
    FollowerSync.objects.update(due_at=timezone.now())
    assert report(run()) == {"seen": 1, "new": 1}


def test_an_account_that_is_switched_off_is_asked_for_nobody_any_more(
    run, follow_there, people, fake, account, monkeypatch
):
    monkeypatch.setattr(read_list, "CHUNK", 10)
    follow_there(*(f"o{number:02}" for number in range(35)))

    def switch_off():
        type(account).objects.update(is_active=False)

    client = in_process_client(fake, AppCredentials(account.app_id, SECRET), between=switch_off)
    FollowerSync.objects.begin(account, origin="command", now=timezone.now())
    claims = FollowerSync.objects.claim(timezone.now(), limit=1, lease=sync_module.LEASE)
    carry_on(claims[0], client=client)
    sync = FollowerSync.objects.get()
    assert (sync.failure, sync.has_failed) == ("inactive", True)
    assert report(sync) == {"seen": 10, "new": 10}
    assert "switched off" in english(sync)
    calls = fake.calls
    FollowerSync.objects.failed().try_again(timezone.now())
    sync_next()
    assert FollowerSync.objects.get().failure == "inactive"
    assert fake.calls == calls


def test_a_fault_of_ours_is_shown_and_waits_for_an_operator(run, follow_there, monkeypatch):
    follow_there("o1")

    def fail(*arguments):
        raise ZeroDivisionError("nobody\0 knows")

    monkeypatch.setattr(read_list, "write_profiles", fail)
    sync = run()
    assert (sync.failure, sync.has_failed) == ("fault", True)
    assert sync.failure_text == "ZeroDivisionError: nobody knows"
    assert not EventLog.objects.exists()
    monkeypatch.undo()
    FollowerSync.objects.failed().try_again(timezone.now())
    sync.refresh_from_db()
    assert report(run()) == {"seen": 1, "new": 1}


def test_a_slow_answer_does_not_cost_the_lease(account, follow_there, fake):
    follow_there(*(f"o{number:04}" for number in range(900)))
    clock = [timezone.now()]

    def wait_a_minute():
        clock[0] += datetime.timedelta(minutes=1)
        assert FollowerSync.objects.get().leased_until > clock[0]

    client = in_process_client(fake, AppCredentials(account.app_id, SECRET), between=wait_a_minute)
    FollowerSync.objects.begin(account, origin="command", now=clock[0])
    [claimed] = FollowerSync.objects.claim(clock[0], limit=1, lease=sync_module.LEASE)
    carry_on(claimed, client=client, now=lambda: clock[0])
    assert report(FollowerSync.objects.get()) == {"seen": 900, "new": 900}


def test_a_run_that_was_given_up_is_not_tried_again(run, follow_there, fake, account):
    fake.account(account.app_id).is_certified = False
    run()
    fake.account(account.app_id).is_certified = True
    run()
    queue = JobQueue(FollowerSync)
    assert queue.failures(timezone.now()) == {}
    assert queue.try_again("permission", timezone.now()) == 0
    assert sorted(FollowerSync.objects.values_list("state", flat=True)) == [
        "abandoned", "finished"
    ]  # fmt: skip


def test_a_worker_that_was_too_slow_changes_nothing(account, follow_there, fake, people):
    follow_there("o1", "o2")
    FollowerSync.objects.begin(account, origin="command", now=timezone.now())
    [claimed] = FollowerSync.objects.claim(
        timezone.now(), limit=1, lease=datetime.timedelta(minutes=5)
    )
    find = people.find

    def find_while_somebody_takes_over(openid):
        FollowerSync.objects.update(lease="another")
        return find(openid)

    people.find = find_while_somebody_takes_over
    carry_on(claimed, client=in_process_client(fake, AppCredentials(account.app_id, SECRET)))
    assert not EventLog.objects.exists()
    assert report(FollowerSync.objects.get()) == {}
    assert FollowerSync.objects.get().lease == "another"


def test_there_is_one_run_at_a_time(account):
    first, is_new = FollowerSync.objects.begin(account, origin="operator", now=timezone.now())
    assert is_new
    second, is_new = FollowerSync.objects.begin(account, origin="schedule", now=timezone.now())
    assert (second.pk, is_new) == (first.pk, False)


# --- No permission ---


def test_48001_is_remembered_and_not_asked_again(run, fake, account, happened, caplog):
    fake.account(account.app_id).is_certified = False
    sync = run()
    assert sync.has_failed
    access = ProfileFetch.objects.get()
    assert access.is_refused
    assert "48001" in access.failure_text
    calls = fake.calls[PAGE]
    happened("event.subscribe", "o1")
    assert fetch_profiles() == 0
    later = timezone.now() + datetime.timedelta(days=3)
    assert begin_daily(later) == 0
    assert fake.calls[PAGE] == calls
    assert INFOS not in fake.calls


def test_an_operator_may_ask_again_and_an_answer_ends_the_refusal(run, fake, account):
    fake.account(account.app_id).is_certified = False
    run()
    fake.account(account.app_id).is_certified = True
    assert run().state == "finished"
    assert not ProfileFetch.objects.get().is_refused
    assert FollowerSync.objects.filter(state="abandoned").count() == 1


# --- Each night ---


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.fixture
def old_account(account):
    type(account).objects.update(created_at=at("2026-11-01 00:00"))
    return account


def test_a_run_begins_each_night_of_the_accounts_zone(old_account, settings):
    settings.FOLLOWER_SYNC_HOUR = 3
    # 03:00 to 03:59 in Shanghai is 19:00 to 19:59 of the day before
    assert begin_daily(at("2026-11-20 10:00")) == 0
    assert begin_daily(at("2026-11-20 18:59")) == 0
    assert begin_daily(at("2026-11-20 20:00")) == 1
    sync = FollowerSync.objects.get()
    assert sync.origin == "schedule"
    FollowerSync.objects.update(state="finished", finished_at=timezone.now(), due_at=None)
    assert begin_daily(at("2026-11-20 20:01")) == 0
    assert begin_daily(at("2026-11-21 18:59")) == 0
    # the worker was not there in the night
    assert begin_daily(at("2026-11-22 05:00")) == 1


def test_an_account_made_in_the_night_waits_for_the_next(account, settings):
    settings.FOLLOWER_SYNC_HOUR = 3
    type(account).objects.update(created_at=at("2026-11-20 20:00"))
    assert begin_daily(at("2026-11-20 20:01")) == 0
    assert begin_daily(at("2026-11-21 20:01")) == 1


def test_a_zone_far_away_has_another_night(old_account, settings):
    settings.FOLLOWER_SYNC_HOUR = 3
    type(old_account).objects.update(time_zone="America/New_York")
    assert begin_daily(at("2026-11-20 20:00")) == 0
    assert begin_daily(at("2026-11-21 09:00")) == 1


@pytest.mark.parametrize("change", [{"is_active": False}, {"app_secret": ""}])
def test_an_account_that_cannot_ask_is_not_scheduled(old_account, change):
    type(old_account).objects.update(**change)
    assert begin_daily(at("2026-11-20 20:00")) == 0


def test_no_hour_means_never(old_account, settings):
    settings.FOLLOWER_SYNC_HOUR = None
    assert begin_daily(at("2026-11-20 20:00")) == 0


# --- The command ---


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("sync_followers", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def test_the_command_runs_a_sync_and_reports(follow_there, account):
    follow_there("o1", "o2")
    assert "shop: 2 seen, 2 new, 0 missed follows" in command()
    assert "shop: 2 seen, 0 new" in command("shop")


def test_the_command_fails_with_the_reason(fake, account):
    fake.account(account.app_id).is_certified = False
    output = io.StringIO()
    with pytest.raises(CommandError, match="Not finished: shop"):
        call_command("sync_followers", stdout=output, stderr=output)
    assert "48001" in output.getvalue()


def test_the_command_waits_for_a_pause_to_end(follow_there, fake, monkeypatch):
    pause = datetime.timedelta(seconds=0.2)
    monkeypatch.setattr(sync_module, "CALL", [pause, pause])
    follow_there("o1")
    fake.make_trouble(PAGE, Fault(errcode=-1, times=2))
    output = command()
    assert "-1 system error" in output
    assert "Waits until" in output
    assert "1 seen, 1 new" in output


def test_the_command_leaves_a_long_pause_to_the_worker(fake, account):
    fake.account(account.app_id).exhaust_quota(PAGE)
    output = io.StringIO()
    with pytest.raises(CommandError, match="Not finished: shop"):
        call_command("sync_followers", stdout=output, stderr=output)
    assert "45009" in output.getvalue()
    assert "left to the worker" in output.getvalue()
    assert FollowerSync.objects.get().due_at > timezone.now()


def test_the_command_takes_over_from_a_process_that_was_killed(follow_there, account):
    follow_there("o1")
    FollowerSync.objects.begin(account, origin="command", now=timezone.now())
    FollowerSync.objects.claim(timezone.now(), limit=1, lease=datetime.timedelta(minutes=5))
    with pytest.raises(CommandError):
        command()
    assert "1 seen, 1 new" in command("--resume", "--now")
    assert FollowerSync.objects.count() == 1


def test_an_unknown_handle_is_said(account):
    with pytest.raises(CommandError, match="'nobody' is not"):
        command("nobody")

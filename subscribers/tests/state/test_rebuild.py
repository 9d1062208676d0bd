from __future__ import annotations

import datetime
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.testing import make_account
from subscribers.models import Subscriber
from subscribers.state.rebuild import compare, rebuild

pytestmark = pytest.mark.django_db

START = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def account():
    return make_account(mode="plaintext")


@pytest.fixture
def log(account):
    """Stores an event of that kind so many seconds after START, and returns its row."""

    def store(kind: str, *, openid: str = "o1", at: int = 0, scene: str = "") -> EventLog:
        event = EventLog(
            account=account,
            dedup_key=f"{kind}{openid}{at}"[:32],
            kind=kind,
            openid=openid,
            scene=scene,
            event_time=START + datetime.timedelta(seconds=at),
            received_at=timezone.now(),
            last_delivered_at=timezone.now(),
            raw=b"",
            status=EventLog.Status.PROCESSED,
        )
        deliver([event])
        return event

    return store


def test_folded_state_is_what_the_log_says(log):
    log("event.subscribe", scene="poster", at=1)
    log("event.click", at=2)
    log("event.unsubscribe", at=3)
    log("event.subscribe", openid="o2")
    assert list(compare()) == []
    assert rebuild() == 0


def test_each_wrong_column_is_named(log):
    log("event.subscribe", scene="poster", at=1)
    Subscriber.objects.update(follow_count=7, first_scene="other", last_followed_at=None)
    columns = {difference.column for difference in compare()}
    assert columns == {"follow_count", "first_scene", "last_followed_at", "is_following"}


def test_rebuilding_puts_every_column_right_and_keeps_the_rest(log):
    log("event.subscribe", scene="poster", at=1)
    before = Subscriber.objects.get()
    Subscriber.objects.update(
        first_followed_at=None, event_count=0, last_scene="", last_scene_at=None, unionid="u1"
    )
    assert rebuild() == 1
    after = Subscriber.objects.get()
    assert after.state == before.state
    assert (after.pk, after.unionid) == (before.pk, "u1")
    assert list(compare()) == []


def test_a_follower_without_a_row_is_found_and_made(log):
    log("event.subscribe")
    log("event.subscribe", openid="o2")
    Subscriber.objects.filter(openid="o2").delete()
    assert [difference.column for difference in compare()] == ["row"]
    rebuild()
    assert Subscriber.objects.get(openid="o2").is_following
    assert list(compare()) == []


def test_a_row_of_whom_the_log_says_nothing_is_emptied_not_deleted(log, account):
    Subscriber.objects.create(
        account=account, openid="o9", follow_count=1, last_followed_at=START, updated_at=START
    )
    assert rebuild() == 1
    stranger = Subscriber.objects.get(openid="o9")
    assert (stranger.follow_count, stranger.is_following) == (0, False)


def test_rows_that_were_not_folded_do_not_count(log):
    event = log("event.subscribe")
    EventLog.objects.filter(pk=event.pk).update(folded_at=None)
    assert {difference.column for difference in compare()} >= {"follow_count", "is_following"}


def test_the_same_openid_under_two_accounts_is_two_followers(log, account):
    log("event.subscribe")
    other = OfficialAccount.objects.create(
        slug="two", name="Two", original_id="gh_2", app_id="wx2", security_mode="plaintext"
    )
    EventLog.objects.update(account=other)
    assert {difference.account_id for difference in compare()} == {account.pk, other.pk}
    rebuild()
    assert not Subscriber.objects.get(account=account).is_following
    assert Subscriber.objects.get(account=other).is_following


def test_more_followers_than_one_batch(log, account, monkeypatch):
    monkeypatch.setattr("subscribers.state.rebuild._BATCH", 3)
    for number in range(10):
        log("event.subscribe", openid=f"o{number}")
    Subscriber.objects.filter(openid__in=["o1", "o2"]).delete()
    Subscriber.objects.update(event_count=5)
    assert len([d for d in compare() if d.column == "row"]) == 2
    assert rebuild() == 10
    assert list(compare()) == []


def test_the_command_exits_with_1_and_lists_the_differences(log):
    log("event.subscribe")
    Subscriber.objects.update(follow_count=7)
    output = io.StringIO()
    with pytest.raises(CommandError, match="1 differences"):
        call_command("rebuild_subscribers", "--check", stdout=output)
    assert "follow_count is 7, the log says 1" in output.getvalue()
    call_command("rebuild_subscribers", stdout=output)
    assert "1 followers changed" in output.getvalue()
    call_command("rebuild_subscribers", "--check", stdout=output)


@pytest.mark.django_db(transaction=True)
def test_checking_does_not_stop_those_who_write(log):
    log("event.subscribe")
    log("event.subscribe", openid="o2")
    differences = compare()
    Subscriber.objects.filter(openid="o1").update(follow_count=7)
    assert next(differences).column == "follow_count"
    differences.close()
    log("event.click", at=5)
    assert Subscriber.objects.get(openid="o1").event_count == 2

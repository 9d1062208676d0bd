from __future__ import annotations

import datetime
import time

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from events.models import EventLog
from events.testing import make_account, message_xml, push, reply_in
from subscribers.binding.bind import LIFETIME, end_expired_requests, start_binding, unbind
from subscribers.models import Binding, BindingRequest, BindingScan, Subscriber

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]


@pytest.fixture
def account():
    return make_account()


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


@pytest.fixture
def bob():
    return User.objects.create_user("bob")


def scan(account, scene, *, openid="o1", event="SCAN", at=None):
    """A follower scans a code; returns what he is answered."""
    key = f"qrscene_{scene}" if event == "subscribe" else scene
    body = message_xml(f"event.{event}", openid=openid, at=at, EventKey=key, Ticket="gQT")
    return reply_in(push(account, body), account)["Content"]


def write(account, text, *, openid="o1", at=None, msg_id=1):
    body = message_xml("text", openid=openid, at=at, Content=text, MsgId=msg_id)
    response = push(account, body)
    return "" if response.content == b"success" else reply_in(response, account)["Content"]


def outcome() -> tuple[str, str]:
    latest = BindingScan.objects.latest("pk")
    return latest.outcome, latest.refused_reason


@pytest.mark.parametrize("event", ["subscribe", "SCAN"])
def test_a_scanned_code_binds_the_follower_to_its_user(account, alice, event):
    request = start_binding(account=account, user=alice)
    answer = scan(account, request.scene, event=event)
    assert "绑定成功" in answer
    assert "alice" in answer
    assert "解绑" in answer
    binding = Binding.objects.get()
    assert (binding.user, binding.subscriber.openid, binding.account) == (alice, "o1", account)
    event_row = EventLog.objects.get()
    assert (binding.event_id, binding.event_time) == (event_row.pk, event_row.event_time)
    request.refresh_from_db()
    assert (request.state, request.binding) == ("bound", binding)
    assert (request.scene, request.ticket, request.url) == ("", "", "")
    assert outcome() == ("bound", "")


def test_a_scan_with_the_prefix_binds_too(account, alice):
    request = start_binding(account=account, user=alice)
    assert "绑定成功" in scan(account, f"qrscene_{request.scene}")


def test_the_code_is_unguessable_and_only_its_digest_stays(account, alice):
    scenes = {start_binding(account=account, user=alice).scene for _ in range(20)}
    assert len(scenes) == 20
    assert all(len(scene) <= 64 and not scene.startswith("qrscene_") for scene in scenes)
    stored = str(list(BindingRequest.objects.values_list("scene_digest")))
    assert not any(scene in stored for scene in scenes)


def test_the_answer_is_in_the_followers_language(account, alice):
    push(account, message_xml("event.subscribe", openid="o1"))
    Subscriber.objects.update(language="en")
    request = start_binding(account=account, user=alice)
    assert "is now bound to the account “alice”" in scan(account, request.scene)


def test_the_binding_scene_is_no_place_a_follower_came_from(account, alice):
    request = start_binding(account=account, user=alice)
    scan(account, request.scene, event="subscribe")
    subscriber = Subscriber.objects.get()
    assert (subscriber.first_scene, subscriber.last_scene) == ("", "")
    assert subscriber.is_following


def test_a_repeated_push_is_the_same_scan(account, alice):
    request = start_binding(account=account, user=alice)
    now = int(time.time())
    first = scan(account, request.scene, at=now)
    assert scan(account, request.scene, at=now) == first
    assert BindingScan.objects.count() == Binding.objects.count() == 1


def test_scanning_again_tells_that_it_is_bound(account, alice):
    request = start_binding(account=account, user=alice)
    now = int(time.time())
    scan(account, request.scene, at=now)
    assert "已绑定账号“alice”" in scan(account, request.scene, at=now + 1)
    assert outcome() == ("already_bound", "")
    assert Binding.objects.count() == 1


def test_a_new_code_for_the_same_pair_completes_without_a_second_binding(account, alice):
    scan(account, start_binding(account=account, user=alice).scene)
    again = start_binding(account=account, user=alice)
    scan(account, again.scene)
    again.refresh_from_db()
    assert (again.state, outcome(), Binding.objects.count()) == ("bound", ("already_bound", ""), 1)


def test_a_used_code_binds_nobody_else(account, alice):
    request = start_binding(account=account, user=alice)
    scan(account, request.scene)
    assert "已被使用" in scan(account, request.scene, openid="o2")
    assert outcome() == ("refused", "used")
    assert Binding.objects.get().subscriber.openid == "o1"


@pytest.mark.parametrize(
    ("seconds_late", "delivered_late", "expected"),
    [(-1, 0, ("bound", "")), (1, 0, ("refused", "expired")), (-1, 30, ("bound", "")),
     (-1, 90, ("refused", "expired"))],
)  # fmt: skip
def test_a_code_lives_for_ten_minutes_by_the_time_of_the_scan(
    account, alice, seconds_late, delivered_late, expected
):
    now = timezone.now()
    ends = now - datetime.timedelta(seconds=delivered_late)
    request = start_binding(account=account, user=alice, now=ends - LIFETIME)
    at = int(ends.timestamp()) + seconds_late
    answer = scan(account, request.scene, at=at)
    assert outcome() == expected
    request.refresh_from_db()
    assert request.state == ("bound" if expected[0] == "bound" else "expired")
    assert ("已失效" in answer) is (expected[0] == "refused")
    assert request.scene == ""


def test_requests_nobody_scans_end_and_are_wiped(account, alice):
    request = start_binding(account=account, user=alice)
    assert end_expired_requests() == 0
    later = timezone.now() + LIFETIME
    assert end_expired_requests(now=later) == 0  # a scan made in time may still arrive
    assert end_expired_requests(now=later + datetime.timedelta(minutes=2)) == 1
    request.refresh_from_db()
    assert (request.state, request.scene) == ("expired", "")


def test_a_newer_code_replaces_the_former(account, alice):
    former = start_binding(account=account, user=alice)
    start_binding(account=account, user=alice)
    scan(account, former.scene)
    assert outcome() == ("refused", "withdrawn")
    assert not Binding.objects.exists()


def test_a_made_up_code_is_refused(account):
    assert "不能用于绑定" in scan(account, "bind-" + "x" * 32)
    assert outcome() == ("refused", "unknown")
    assert BindingScan.objects.get().request is None


def test_a_code_of_another_account_is_refused_and_stays_open(account, alice):
    other = make_account("other", original_id="gh_other")
    request = start_binding(account=other, user=alice)
    scan(account, request.scene)
    assert outcome() == ("refused", "wrong_account")
    request.refresh_from_db()
    assert request.state == "waiting"


def test_a_bound_follower_is_never_moved_silently(account, alice, bob):
    scan(account, start_binding(account=account, user=alice).scene)
    request = start_binding(account=account, user=bob)
    answer = scan(account, request.scene)
    assert "已绑定其他账号" in answer
    assert "alice" not in answer
    assert outcome() == ("refused", "follower_bound")
    request.refresh_from_db()
    assert (request.state, request.refused_reason) == ("refused", "follower_bound")
    assert Binding.objects.get().user == alice


def test_a_bound_user_gets_no_second_wechat(account, alice):
    scan(account, start_binding(account=account, user=alice).scene)
    scan(account, start_binding(account=account, user=alice).scene, openid="o2")
    assert outcome() == ("refused", "user_bound")
    assert Binding.objects.get().subscriber.openid == "o1"


def test_a_user_who_may_not_sign_in_is_not_bound(account, alice):
    request = start_binding(account=account, user=alice)
    User.objects.update(is_active=False)
    scan(account, request.scene)
    assert outcome() == ("refused", "user_inactive")


def test_one_user_may_bind_under_several_accounts(account, alice):
    other = make_account("other", original_id="gh_other")
    scan(account, start_binding(account=account, user=alice).scene)
    request = start_binding(account=other, user=alice)
    body = message_xml("event.SCAN", openid="p1", to="gh_other", EventKey=request.scene)
    push(other, body)
    assert Binding.objects.active().count() == 2


def test_an_unfollow_makes_the_binding_dormant_and_a_follow_wakes_it(account, alice):
    now = int(time.time())
    scan(account, start_binding(account=account, user=alice).scene, at=now)
    push(account, message_xml("event.unsubscribe", openid="o1", at=now + 1))
    assert (Binding.objects.get().is_active, Binding.objects.get().is_dormant) == (True, True)
    push(account, message_xml("event.subscribe", openid="o1", at=now + 2))
    assert not Binding.objects.get().is_dormant


@pytest.mark.parametrize("word", ["解绑", " 解除绑定 ", "unbind", "UNBIND"])
def test_a_follower_undoes_a_binding_by_message(account, alice, word):
    now = int(time.time())
    scan(account, start_binding(account=account, user=alice).scene, at=now)
    answer = write(account, word, at=now + 1)
    assert "解绑成功" in answer
    assert "alice" in answer
    assert not Binding.objects.get().is_active
    # and may be bound again
    scan(account, start_binding(account=account, user=alice).scene, at=now + 2)
    assert Binding.objects.active().count() == 1
    assert Binding.objects.count() == 2


def test_an_older_message_that_arrives_late_does_not_unbind(account, alice):
    now = int(time.time())
    scan(account, start_binding(account=account, user=alice).scene, at=now)
    assert "没有绑定" in write(account, "解绑", at=now - 60)
    assert Binding.objects.get().is_active


def test_other_words_do_not_unbind(account, alice):
    scan(account, start_binding(account=account, user=alice).scene)
    assert write(account, "怎么解绑？", at=int(time.time()) + 1) == ""
    assert Binding.objects.get().is_active


def test_an_operator_unbinds_once(account, alice):
    scan(account, start_binding(account=account, user=alice).scene)
    binding = Binding.objects.get()
    assert unbind(binding) is True
    assert unbind(binding) is False


def test_the_database_itself_refuses_a_second_active_binding(account, alice, bob):
    scan(account, start_binding(account=account, user=alice).scene)
    binding = Binding.objects.get()
    for user, subscriber in [(bob, binding.subscriber), (alice, None)]:
        if subscriber is None:
            push(account, message_xml(openid="o2"))
            subscriber = Subscriber.objects.get(openid="o2")
        with pytest.raises(IntegrityError), transaction.atomic():
            Binding.objects.create(
                account=account, subscriber=subscriber, user=user, bound_at=timezone.now(),
                event_id=1, event_time=timezone.now(),
            )  # fmt: skip


def test_an_ended_request_keeps_no_secret_by_constraint(account, alice):
    request = start_binding(account=account, user=alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        BindingRequest.objects.filter(pk=request.pk).update(refused_reason="used")


def test_the_scene_is_encrypted_at_rest(account, alice):
    from django.db import connection

    request = start_binding(account=account, user=alice)
    with connection.cursor() as cursor:
        cursor.execute("SELECT scene FROM subscribers_bindingrequest")
        assert request.scene not in cursor.fetchone()[0]

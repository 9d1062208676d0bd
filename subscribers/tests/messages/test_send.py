"""Messages out: when they may go, what becomes of them, and that none goes twice."""

from __future__ import annotations

import datetime
import time
from random import Random

import pytest
from django.db import transaction
from django.utils import timezone

from events.jobs.queues import JobQueue
from events.log.process import process_due
from events.log.registry import late_reply_sender, projection, reply_handler
from events.models import EventLog
from events.models.job import LeaseLost
from events.platform import client
from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault, ListedFollowers
from events.simulator.pushes import Push
from events.testing import make_account, message_xml, push
from events.wechat import NewsReply, TextReply, VoiceReply
from events.wechat.api.custom_messages import (
    ArticleMessage,
    Choice,
    ChoiceMessage,
    ImageMessage,
    MaterialMessage,
    NewsMessage,
    TextMessage,
)
from events.wechat.replies import Article
from subscribers.messages import send, window
from subscribers.messages.send import (
    NotDeliverable,
    send_again,
    send_message,
    send_next,
    try_again,
)
from subscribers.messages.window import window_of
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.models.outgoing_message import FAILURES, Undeliverable, packed, unpacked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registries")]

FOLLOWER = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
SEND = "/cgi-bin/message/custom/send"
STABLE = "/cgi-bin/stable_token"
SECRET = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def fake():
    fake = FakeWeChatAPI(random=Random(1))
    with FakeWeChatAPIServer(fake) as server:
        fake.url = server.url
        yield fake


@pytest.fixture
def account(fake, settings):
    settings.WECHAT_API_BASE = fake.url
    account = make_account(app_secret=SECRET)
    fake.add_account(account.app_id, SECRET, followers=ListedFollowers())
    yield account
    client.close_wire()


@pytest.fixture
def there(fake, account):
    return fake.account(account.app_id)


def does(account, kind="text", *, ago=0, fake=None, openid=FOLLOWER, **fields):
    """The follower does something, here and on the fake platform; returns the follower."""
    at = int(time.time()) - ago
    if kind == "text":
        fields = {"Content": "?", "MsgId": at * 1000 + len(fields)} | fields
    push(account, message_xml(kind, openid=openid, at=at, **fields))
    if fake is not None:
        there = fake.account(account.app_id)
        there.followers.add(Follower(openid, is_following=kind != "event.unsubscribe"))
        msg_type, _, event = kind.partition(".")
        there.note_push(Push(openid, at, msg_type, event))
    return Subscriber.objects.get(account=account, openid=openid)


def outcome():
    return list(OutgoingMessage.objects.order_by("pk").values_list("state", "failure"))


def sent(subscriber, *, ago=0):
    """A message that went out, not stored yet."""
    now = timezone.now()
    kind, payload = packed(TextMessage("x"))
    return OutgoingMessage(
        account_id=subscriber.account_id, subscriber=subscriber, kind=kind, payload=payload,
        state="sent", due_at=None, sent_at=now - datetime.timedelta(seconds=ago), window_until=now,
    )  # fmt: skip


def make_due():
    OutgoingMessage.objects.waiting().update(due_at=timezone.now())


# --- The window --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "act", "allowed", "seconds"),
    [
        ("text", {}, "message", 5, 48 * 3600),
        ("image", {"MediaId": "m"}, "message", 5, 48 * 3600),
        ("text", {"bizmsgmenuid": "101"}, "menu", 3, 60),
        ("event.CLICK", {"EventKey": "K"}, "menu", 3, 60),
        ("event.scancode_push", {"EventKey": "K"}, "menu", 3, 60),
        ("event.scancode_waitmsg", {"EventKey": "K"}, "menu", 3, 60),
        ("event.subscribe", {}, "follow", 3, 60),
        ("event.SCAN", {"EventKey": "s"}, "scan", 3, 60),
    ],
)
def test_an_act_opens_a_window(account, kind, fields, act, allowed, seconds):
    subscriber = does(account, kind, ago=10, **fields)
    window = window_of(subscriber)
    assert (window.act, window.remaining) == (act, allowed)
    assert window.until - window.opened_at == datetime.timedelta(seconds=seconds)
    later = window.until - datetime.timedelta(seconds=1)
    assert window_of(subscriber, later) is not None
    assert window_of(subscriber, window.until) is None


@pytest.mark.parametrize(
    "kind", ["event.VIEW", "event.LOCATION", "event.location_select", "event.pic_weixin"]
)
def test_other_acts_open_none(account, kind):
    assert window_of(does(account, kind, EventKey="K")) is None


def test_windows_do_not_add_up_and_the_longest_with_messages_left_counts(account):
    subscriber = does(account, "text", ago=600)
    for number in range(4):
        send_message(subscriber, TextMessage(str(number)))
    does(account, "event.CLICK", EventKey="K")
    assert window_of(subscriber).act == "message"
    assert window_of(subscriber).remaining == 1
    send_message(subscriber, TextMessage("4"))
    window = window_of(subscriber)
    # What is queued goes out now, so it counts in the younger window too.
    assert (window.act, window.remaining) == ("message", 0)
    OutgoingMessage.objects.update(
        state="sent", due_at=None, sent_at=timezone.now() - datetime.timedelta(seconds=300)
    )
    window = window_of(subscriber)
    assert (window.act, window.remaining) == ("menu", 3)


def test_a_new_message_opens_a_new_window(account):
    subscriber = does(account, ago=3600)
    for _ in range(5):
        send_message(subscriber, TextMessage("x"))
    OutgoingMessage.objects.update(
        state="sent", due_at=None, sent_at=timezone.now() - datetime.timedelta(seconds=60)
    )
    with pytest.raises(NotDeliverable):
        send_message(subscriber, TextMessage("x"))
    assert window_of(does(account)).remaining == 5


def test_whoever_left_has_no_window_and_gets_none_back_by_returning(account):
    does(account, ago=300)
    left = does(account, "event.unsubscribe", ago=200)
    assert window_of(left) is None
    back = does(account, "event.subscribe", ago=100)
    assert back.is_following
    assert window_of(back) is None


def test_what_was_imported_or_quarantined_opens_no_window(account):
    subscriber = does(account)
    EventLog.objects.update(source="import")
    assert window_of(subscriber) is None
    EventLog.objects.update(source="callback", status="set_aside", folded_at=None)
    assert window_of(subscriber) is None


def test_the_numbers_are_settings(account, settings):
    settings.MESSAGE_WINDOWS = settings.MESSAGE_WINDOWS | {"message": (20, 7200)}
    window = window_of(does(account))
    assert (window.allowed, (window.until - window.opened_at).total_seconds()) == (20, 7200)


def test_the_window_costs_the_same_however_much_somebody_writes(
    account, django_assert_max_num_queries
):
    for number in range(60):
        does(account, ago=number)
    subscriber = Subscriber.objects.select_related("account").get()
    with django_assert_max_num_queries(3):
        window_of(subscriber)


def test_however_much_somebody_writes_few_bodies_are_read(account, monkeypatch):
    for number in range(30):
        does(account, ago=90 + number)
    does(account, ago=70, bizmsgmenuid="1")
    subscriber = does(account, ago=20, bizmsgmenuid="2")
    read = []
    payload = EventLog.payload.func
    monkeypatch.setattr(
        EventLog, "payload", property(lambda event: read.append(1) or payload(event))
    )
    assert (window_of(subscriber).act, window_of(subscriber).allowed) == ("message", 5)
    assert len(read) == 6
    OutgoingMessage.objects.bulk_create(sent(subscriber, ago=60) for _ in range(5))
    assert (window_of(subscriber).act, window_of(subscriber).remaining) == ("menu", 3)


def test_taps_hide_no_text_however_many_there_are(account, monkeypatch):
    monkeypatch.setattr(window, "_TEXTS_AT_ONCE", 2)
    subscriber = does(account, ago=300)
    for number in range(5):
        does(account, ago=200 - number, bizmsgmenuid="1")
    assert window_of(subscriber).act == "message"
    EventLog.objects.order_by("pk").first().delete()
    assert window_of(subscriber) is None


def test_a_window_is_no_longer_than_it_is_by_a_clock_that_is_behind(account):
    subscriber = does(account, "event.CLICK", ago=-40, EventKey="K")
    received = EventLog.objects.get().received_at
    window = window_of(subscriber)
    assert window.until == received + datetime.timedelta(seconds=60)
    OutgoingMessage.objects.bulk_create([sent(subscriber)])
    assert window_of(subscriber).remaining == 2


# --- Queueing ----------------------------------------------------------------------------------

MESSAGES = [
    TextMessage("您好 😀"),
    ImageMessage("m1"),
    NewsMessage(Article("t", "d", "https://x.example/p.png", "https://x.example/")),
    MaterialMessage("m2"),
    ArticleMessage("a1"),
    ChoiceMessage("满意吗?", (Choice("1", "满意"), Choice("2", "不满意")), "谢谢"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_is_stored_and_read_as_it_was(account, message):
    subscriber = does(account)
    send_message(subscriber, message)
    assert OutgoingMessage.objects.get().message == message


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("fax", {}),
        ("text", {"content": "", "x": 1}),
        ("news", {}),
        ("text", {"content": " "}),
        # No page could show these.
        ("text", {"content": ["x"]}),
        ("image", {"media_id": {"a": "b"}}),
        ("news", {"article": {"title": ["x"], "description": "", "pic_url": "", "url": "u"}}),
        ("msgmenu", {"head": ["x"], "choices": [{"id": "1", "content": "x"}], "tail": ""}),
        ("msgmenu", {"head": "x", "choices": [{"id": "1", "content": ["x"]}], "tail": ""}),
        ("msgmenu", {"head": "x", "choices": {"id": "1", "content": "x"}, "tail": ""}),
    ],
)
def test_what_is_no_message_is_not_taken_for_one(kind, payload):
    with pytest.raises(ValueError, match="message"):
        unpacked(kind, payload)


def test_a_message_that_cannot_be_delivered_is_refused_at_once_with_the_reason(account):
    subscriber = does(account, ago=49 * 3600)
    with pytest.raises(NotDeliverable) as refused:
        send_message(subscriber, TextMessage("x"))
    assert refused.value.reason is Undeliverable.CLOSED
    subscriber = does(account)
    for _ in range(5):
        send_message(subscriber, TextMessage("x"))
    with pytest.raises(NotDeliverable) as refused:
        send_message(subscriber, TextMessage("x"))
    assert refused.value.reason is Undeliverable.USED_UP
    subscriber = does(account, "event.unsubscribe")
    with pytest.raises(NotDeliverable) as refused:
        send_message(subscriber, TextMessage("x"))
    assert refused.value.reason is Undeliverable.NOT_FOLLOWING
    event = EventLog(account=account, openid="oNobody")
    with pytest.raises(NotDeliverable):
        send_message(event, TextMessage("x"))
    assert OutgoingMessage.objects.count() == 5


def test_a_handler_queues_in_the_transaction_of_its_event(account, there):
    @projection("event.click")
    def tell(event: EventLog) -> None:
        send_message(event, TextMessage("sent"))
        if event.event_key == "BROKEN":
            raise RuntimeError

    push(account, message_xml("event.CLICK", EventKey="BROKEN"))
    assert not OutgoingMessage.objects.exists()
    does(account, "event.CLICK", EventKey="FINE")
    assert OutgoingMessage.objects.get().event_id == EventLog.objects.get(event_key="FINE").pk


@pytest.mark.parametrize(
    "message", [TextMessage("a\0b"), ChoiceMessage("?", (Choice("1", "a\0b"),))]
)
def test_what_no_database_of_ours_takes_is_refused_at_once(account, message):
    subscriber = does(account)
    with pytest.raises(ValueError, match="NUL"):
        send_message(subscriber, message)


def test_a_rolled_back_message_was_never_there(account):
    subscriber = does(account)
    with transaction.atomic():
        send_message(subscriber, TextMessage("x"))
        transaction.set_rollback(True)
    assert not OutgoingMessage.objects.exists()


# --- Sending -----------------------------------------------------------------------------------


def test_a_message_goes_out_as_whatsoever_kind_it_is(account, fake, there):
    subscriber = does(account, fake=fake)
    for message in MESSAGES[:3]:
        send_message(subscriber, message)
    assert [send_next() for _ in range(4)] == [1, 1, 1, 0]
    assert outcome() == [("sent", "")] * 3
    assert [sent.body["msgtype"] for sent in there.sent] == ["text", "image", "news"]
    assert there.sent[0].body["text"]["content"] == "您好 😀"
    row = OutgoingMessage.objects.first()
    assert (row.lease, row.due_at, row.failure_text) == ("", None, "")
    assert row.sent_at is not None


def test_short_windows_go_first(account, fake, there):
    first = does(account, fake=fake)
    second = does(account, "event.subscribe", fake=fake, openid="oNew")
    send_message(first, TextMessage("later"))
    send_message(second, TextMessage("welcome"))
    send_next()
    assert [sent.openid for sent in there.sent] == ["oNew"]


def test_what_is_too_late_does_not_keep_back_what_is_not_yet(account, fake, there):
    late = does(account, "event.subscribe", fake=fake, openid="oLate")
    for _ in range(3):
        send_message(late, TextMessage("too late"))
    now = timezone.now()
    long_ago = now - datetime.timedelta(minutes=9)
    EventLog.objects.update(event_time=now - datetime.timedelta(minutes=10))
    OutgoingMessage.objects.update(due_at=long_ago, window_until=long_ago)
    new = does(account, "event.subscribe", fake=fake, openid="oNew")
    send_message(new, TextMessage("welcome"))
    send_next()
    assert [sent.openid for sent in there.sent] == ["oNew"]


def test_many_tried_again_are_those_that_can_be_delivered(account, monkeypatch):
    monkeypatch.setattr(send, "_TRIED_AGAIN_AT_ONCE", 2)
    gone = [does(account, ago=50 * 3600, openid=f"oGone{number}") for number in range(4)]
    here = does(account)
    failed = [sent(follower) for follower in [*gone[:2], here, *gone[2:]]]
    for message in failed:
        message.state, message.failure, message.failed_at = "failed", "busy", timezone.now()
    OutgoingMessage.objects.bulk_create(failed)
    assert JobQueue(OutgoingMessage, retry=try_again).try_again("busy", timezone.now()) == 1
    assert OutgoingMessage.objects.get(state="queued").subscriber == here


def test_a_message_to_a_new_follower_is_tried_again(account, monkeypatch):
    """A follow opens a window, but it is not in last_seen_at."""
    monkeypatch.setattr(send, "_TRIED_AGAIN_AT_ONCE", 1)
    new = does(account, "event.subscribe", openid="oNew")
    # The window of an earlier follow is closed, so this newer message must not take the place.
    earlier = does(account, "event.subscribe", ago=3600, openid="oEarlier")
    assert new.last_seen_at is None
    failed = [sent(follower) for follower in (new, earlier)]
    for message in failed:
        message.state, message.failure, message.failed_at = "failed", "busy", timezone.now()
    OutgoingMessage.objects.bulk_create(failed)
    assert try_again(OutgoingMessage.objects.all(), timezone.now()) == 1
    assert OutgoingMessage.objects.get(state="queued").subscriber == new


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(reset=True), Fault(body=b"no")])
def test_without_an_answer_a_message_is_not_sent_twice(account, fake, there, fault):
    send_message(does(account, fake=fake), TextMessage("x"))
    send_next()
    make_due()
    OutgoingMessage.objects.update(state="failed", due_at=None, failure="busy")
    try_again(OutgoingMessage.objects.all(), timezone.now())
    fake.make_trouble(SEND, fault)
    send_next()
    row = OutgoingMessage.objects.get()
    assert row.state == "unknown"
    assert row.failure in {"unreachable", "bad_answer"}
    make_due()
    assert send_next() == 0
    assert try_again(OutgoingMessage.objects.all(), timezone.now()) == 0


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(reset=True), Fault(errcode=-1)])
def test_without_a_token_a_message_cannot_have_been_sent(account, fake, there, fault):
    send_message(does(account, fake=fake), TextMessage("x"))
    fake.make_trouble(STABLE, fault)
    send_next()
    row = OutgoingMessage.objects.get()
    assert (row.state, row.sent_at) == ("queued", None)
    assert row.failure in {"unreachable", "bad_answer", "busy"}
    assert row.due_at > timezone.now()


def test_a_busy_platform_is_asked_again_and_then_no_more(account, fake, there):
    send_message(does(account, fake=fake), TextMessage("x"))
    fake.make_trouble(SEND, Fault(errcode=-1, times=None))
    for _ in range(4):
        assert outcome()[0][0] == "queued"
        make_due()
        send_next()
    assert outcome() == [("failed", "busy")]
    row = OutgoingMessage.objects.get()
    assert "-1 system error" in row.failure_text
    assert "rid" in row.failure_text
    fake.end_trouble()
    assert try_again(OutgoingMessage.objects.all(), timezone.now()) == 1
    send_next()
    assert outcome() == [("sent", "")]
    assert len(there.sent) == 1


def test_a_window_that_closes_before_the_next_attempt_ends_it(account, fake, there):
    send_message(does(account, "event.subscribe", ago=30, fake=fake), TextMessage("x"))
    fake.make_trouble(SEND, Fault(errcode=45011))
    send_next()
    assert outcome() == [("failed", "rate_limit")]


@pytest.mark.parametrize(
    ("errcode", "failure"),
    [
        (45015, "recipient"), (45047, "recipient"), (48001, "permission"), (40007, "request"),
        (40164, "address"), (99999, "refused"),
    ],
)  # fmt: skip
def test_a_refusal_is_final_and_says_why(account, fake, there, errcode, failure):
    send_message(does(account, fake=fake), TextMessage("x"))
    fake.make_trouble(SEND, Fault(errcode=errcode))
    send_next()
    assert outcome() == [("failed", failure)]
    row = OutgoingMessage.objects.get()
    assert str(errcode) in row.failure_text
    assert row.reason == FAILURES[failure]


def test_the_days_quota_lasts_until_midnight_in_beijing(account, fake, there):
    send_message(does(account, fake=fake), TextMessage("x"))
    there.exhaust_quota(SEND)
    send_next()
    row = OutgoingMessage.objects.get()
    assert (row.state, row.failure) == ("queued", "daily_quota")
    due = row.due_at.astimezone(datetime.timezone(datetime.timedelta(hours=8)))
    assert datetime.time(0, 0) <= due.time() <= datetime.time(0, 5)


def test_an_account_without_a_secret_says_so(account, fake):
    send_message(does(account, fake=fake), TextMessage("x"))
    type(account).objects.update(app_secret="")
    send_next()
    assert outcome() == [("failed", "no_app_secret")]


def test_whoever_left_meanwhile_is_sent_nothing(account, fake, there):
    send_message(does(account, fake=fake, ago=5), TextMessage("x"))
    does(account, "event.unsubscribe")
    send_next()
    assert outcome() == [("failed", "not_following")]
    assert SEND not in fake.calls


def test_a_window_that_closed_while_it_waited_refuses_the_message(account, fake, there):
    send_message(does(account, "event.subscribe", fake=fake), TextMessage("x"))
    OutgoingMessage.objects.update(window_until=timezone.now())
    EventLog.objects.update(event_time=timezone.now() - datetime.timedelta(minutes=5))
    send_next()
    assert outcome() == [("failed", "window_closed")]
    assert SEND not in fake.calls
    # and there is no trying again
    assert try_again(OutgoingMessage.objects.all(), timezone.now()) == 0
    assert outcome() == [("failed", "window_closed")]


def test_an_account_that_is_switched_off_says_nothing(account, fake, there):
    follower = does(account, fake=fake)
    send_message(follower, TextMessage("x"))
    account.is_active = False
    account.save()
    send_next()
    assert outcome() == [("failed", "inactive")]
    assert not send_again(OutgoingMessage.objects.get(), timezone.now())
    with pytest.raises(NotDeliverable) as refused:
        send_message(follower, TextMessage("y"))
    assert refused.value.reason == Undeliverable.INACTIVE
    assert SEND not in fake.calls


def test_a_fault_of_ours_is_kept_on_the_row(account, fake, there, caplog):
    send_message(does(account, fake=fake), TextMessage("x"))
    OutgoingMessage.objects.update(kind="fax")
    send_next()
    row = OutgoingMessage.objects.get()
    assert (row.state, row.failure) == ("failed", "fault")
    assert "fax" in row.failure_text


def test_a_killed_sender_leaves_a_message_that_is_not_sent_again(account, fake, there):
    """As it stands when the process ends between the call and its answer."""
    send_message(does(account, fake=fake), TextMessage("x"))
    now = timezone.now()
    lease = datetime.timedelta(seconds=60)
    (message,) = OutgoingMessage.objects.claim(now, limit=1, lease=lease)
    OutgoingMessage.objects.begin(message, now, lease)
    assert send_next() == 0
    OutgoingMessage.objects.update(leased_until=now)
    assert send_next() == 1
    assert outcome() == [("unknown", "killed")]
    assert SEND not in fake.calls
    # The operator takes it upon himself.
    assert send_again(OutgoingMessage.objects.get(), timezone.now())
    send_next()
    assert outcome() == [("sent", "")]


def test_a_sender_that_answers_after_its_lease_has_sent(account, fake, there):
    send_message(does(account, fake=fake), TextMessage("x"))
    now = timezone.now()
    lease = datetime.timedelta(seconds=60)
    (message,) = OutgoingMessage.objects.claim(now, limit=1, lease=lease)
    OutgoingMessage.objects.begin(message, now, lease)
    OutgoingMessage.objects.update(leased_until=now)
    send_next()
    assert outcome() == [("unknown", "killed")]
    assert not OutgoingMessage.objects.finish(message, state="sent")
    assert OutgoingMessage.objects.confirm_sent(message)
    assert outcome() == [("sent", "")]


def test_a_sender_that_was_killed_before_the_call_costs_nothing(account, fake, there):
    send_message(does(account, fake=fake), TextMessage("x"))
    now = timezone.now()
    OutgoingMessage.objects.claim(now, limit=1, lease=datetime.timedelta(seconds=60))
    OutgoingMessage.objects.update(leased_until=now)
    send_next()
    assert outcome() == [("sent", "")]
    assert len(there.sent) == 1


def test_a_slow_sender_does_not_begin_once_its_lease_is_anothers(account, fake, there):
    send_message(does(account, fake=fake), TextMessage("x"))
    now = timezone.now()
    lease = datetime.timedelta(seconds=60)
    (slow,) = OutgoingMessage.objects.claim(now, limit=1, lease=lease)
    OutgoingMessage.objects.update(leased_until=now)
    send_next()
    with pytest.raises(LeaseLost):
        OutgoingMessage.objects.begin(slow, now, lease)
    assert outcome() == [("sent", "")]


# --- Late replies ------------------------------------------------------------------------------


@pytest.fixture
def shaky(account):
    """A reply handler that fails at first, as handlers do; returns how to mend it."""
    state = {"broken": True, "reply": TextReply("您的订单已发货")}

    @reply_handler("image")
    def answer(event: EventLog):
        if state["broken"]:
            raise RuntimeError("no")
        return state["reply"]

    return state


def work_on_events():
    """The worker takes what is due, when WeChat's three tries are over."""
    now = timezone.now()
    EventLog.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=now, received_at=now - datetime.timedelta(minutes=1)
    )
    return process_due()


def test_a_late_reply_goes_out_as_a_message(account, fake, there, shaky):
    does(account, "image", MediaId="m", fake=fake)
    assert not OutgoingMessage.objects.exists()
    shaky["broken"] = False
    work_on_events()
    event = EventLog.objects.get()
    message = OutgoingMessage.objects.get()
    assert (message.event_id, message.event_time) == (event.pk, event.event_time)
    assert "您的订单已发货" in event.reply
    send_next()
    assert [sent.body["text"]["content"] for sent in there.sent] == ["您的订单已发货"]
    assert work_on_events() == 0
    assert OutgoingMessage.objects.count() == 1


def test_a_reply_that_wechat_waits_for_is_no_message(account, shaky):
    shaky["broken"] = False
    does(account, "image", MediaId="m")
    assert EventLog.objects.get().reply
    assert not OutgoingMessage.objects.exists()


def test_too_late_a_reply_stays_on_the_row(account, shaky, caplog):
    does(account, "image", MediaId="m", ago=49 * 3600)
    shaky["broken"] = False
    work_on_events()
    event = EventLog.objects.get()
    assert (event.status, bool(event.reply)) == ("processed", True)
    assert event.answered_by == "none"
    assert list(EventLog.objects.unanswered()) == [event]
    assert not OutgoingMessage.objects.exists()


@pytest.mark.parametrize(("refuses", "way"), [(False, "message"), (True, "none")])
def test_the_event_says_what_became_of_its_message(account, fake, there, shaky, refuses, way):
    does(account, "image", MediaId="m", fake=None if refuses else fake)
    shaky["broken"] = False
    work_on_events()
    event = EventLog.objects.get()
    assert (event.answered_by, event.answered_at) == ("message", None)
    send_next()
    event.refresh_from_db()
    assert (event.answered_by, event.answered_at is None) == (way, refuses)


def test_a_message_that_is_sent_again_answers_its_event_after_all(account, fake, there, shaky):
    does(account, "image", MediaId="m", fake=fake)
    shaky["broken"] = False
    work_on_events()
    fake.make_trouble(SEND, Fault(errcode=45047))
    send_next()
    assert EventLog.objects.get().answered_by == "none"
    assert send_again(OutgoingMessage.objects.get(), timezone.now())
    send_next()
    event = EventLog.objects.get()
    assert (event.answered_by, event.answered_at is None) == ("message", False)


@pytest.mark.parametrize(
    ("reply", "kinds"),
    [
        (TextReply("字" * 600), ["text"]),
        (TextReply("字" * 1000), ["text", "text"]),
        (NewsReply((Article("t", "d", "p", "u"), Article("2", "", "", ""))), ["news"]),
        (VoiceReply("v"), ["voice"]),
        (None, []),
    ],
)
def test_late_replies_of_every_kind(account, shaky, reply, kinds):
    does(account, "image", MediaId="m")
    shaky.update(broken=False, reply=reply)
    work_on_events()
    event = EventLog.objects.get()
    assert event.status == "processed"
    assert list(OutgoingMessage.objects.values_list("kind", flat=True)) == kinds
    assert event.answered_by == ("message" if kinds else "none" if reply else "")


def test_there_is_one_sender_of_late_replies():
    with pytest.raises(ValueError, match="already"):
        late_reply_sender(lambda event, reply: None)


def test_packing_names_every_kind():
    assert [packed(message)[0] for message in MESSAGES] == [
        "text", "image", "news", "mpnews", "mpnewsarticle", "msgmenu",
    ]  # fmt: skip

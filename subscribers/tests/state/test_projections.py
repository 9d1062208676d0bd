"""What each event of the mission leaves in the log and in the follower, column by column."""

from __future__ import annotations

import datetime

import pytest

from events.models import EventLog
from events.testing import make_account, message_xml, push
from subscribers.fold.rules import State
from subscribers.models import Subscriber

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state_is_the_fold")]

START = 1767226105


def moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(START + seconds, datetime.UTC)


@pytest.fixture
def account():
    return make_account()


@pytest.fixture
def happens(account):
    """Pushes an event of that second, and returns its row and the follower's."""

    def push_event(kind, at, **fields):
        body = message_xml(kind, at=START + at, openid="oFollower", **fields)
        assert push(account, body).status_code == 200
        event = EventLog.objects.latest("pk")
        return event, Subscriber.objects.filter(openid="oFollower").first()

    return push_event


def test_a_plain_follow(happens):
    event, follower = happens("event.subscribe", 0, EventKey="")
    assert (event.kind, event.scene, event.openid) == ("event.subscribe", "", "oFollower")
    assert follower.is_following
    assert follower.state == State(
        first_followed_at=moment(0), last_followed_at=moment(0), follow_count=1, event_count=1
    )


def test_a_follow_through_a_scene(happens):
    event, follower = happens("event.subscribe", 0, EventKey="qrscene_123123", Ticket="gQT")
    assert (event.event_key, event.scene, event.ticket) == ("qrscene_123123", "123123", "gQT")
    assert (follower.first_scene, follower.last_scene) == ("123123", "123123")
    assert (follower.first_scene_at, follower.last_scene_key) == (moment(0), event.dedup_key)


@pytest.mark.parametrize("key", ["last_trade_no_4200002613", "scanbarcode|ean13|690", "other"])
def test_a_follow_with_another_key_has_no_scene(happens, key):
    event, follower = happens("event.subscribe", 0, EventKey=key)
    assert (event.event_key, event.scene, follower.first_scene) == (key, "", "")
    assert follower.is_following


def test_an_unfollow_whatever_its_key(happens):
    happens("event.subscribe", 0)
    event, follower = happens("event.unsubscribe", 5, EventKey="last_trade_no_1")
    assert (event.kind, event.scene) == ("event.unsubscribe", "")
    assert not follower.is_following
    assert (follower.last_unfollowed_at, follower.unfollow_count) == (moment(5), 1)


def test_an_unfollow_of_somebody_unknown_makes_the_row(happens):
    _, follower = happens("event.unsubscribe", 5)
    assert (follower.is_following, follower.unfollow_count) == (False, 1)


def test_an_unfollow_that_overtook_its_follow(happens):
    happens("event.unsubscribe", 5)
    _, follower = happens("event.subscribe", 0)
    assert (follower.is_following, follower.follow_count) == (False, 1)
    _, follower = happens("event.subscribe", 9)
    assert (follower.is_following, follower.first_followed_at) == (True, moment(0))


@pytest.mark.parametrize("key", ["123123", "qrscene_123123"])
def test_a_scan_while_following_with_and_without_the_prefix(happens, key):
    happens("event.subscribe", 0)
    event, follower = happens("event.SCAN", 7, EventKey=key, Ticket="gQT")
    assert (event.kind, event.event, event.event_key) == ("event.scan", "SCAN", key)
    assert event.scene == "123123"
    assert (follower.last_seen_at, follower.follow_count) == (moment(7), 1)
    assert follower.last_scene == "123123"


def test_a_menu_click_and_a_menu_link(happens):
    click, _ = happens("event.CLICK", 1, EventKey="MENU_MY_ORDERS")
    url = "https://www.example.com/shop?from=menu&v=2"
    view, follower = happens("event.VIEW", 2, EventKey=url, MenuId=428796990)
    assert (click.kind, click.event_key) == ("event.click", "MENU_MY_ORDERS")
    assert (view.kind, view.event_key) == ("event.view", url)
    assert view.payload["MenuId"] == "428796990"
    # only a follower sees the menu, so the follow was missed
    assert (follower.is_following, follower.follow_count) == (True, 0)
    assert (follower.last_seen_at, follower.event_count) == (moment(2), 2)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("text", {"Content": "你好 😀"}),
        ("image", {"PicUrl": "http://mmbiz.qpic.cn/x", "MediaId": "m"}),
        ("voice", {"MediaId": "m", "Format": "amr"}),
        ("video", {"MediaId": "m", "ThumbMediaId": "t"}),
        ("shortvideo", {"MediaId": "m", "ThumbMediaId": "t"}),
        (
            "location",
            {"Location_X": "31.23", "Location_Y": "121.47", "Scale": 16, "Label": " 上海"},
        ),
        ("link", {"Title": "t", "Description": "d", "Url": "https://x.example/?a=1&b=2"}),
    ],
)
def test_ordinary_messages(happens, kind, fields):
    event, follower = happens(kind, 3, MsgId=23812904477190342, **fields)
    assert (event.kind, event.msg_type, event.event) == (kind, kind, "")
    assert event.msg_id == "23812904477190342"
    for name, value in fields.items():
        assert event.payload[name] == str(value).strip()
    assert (follower.is_following, follower.last_seen_at) == (True, moment(3))


def test_a_position_report_is_not_a_location_message(happens):
    event, follower = happens(
        "event.LOCATION", 4, Latitude="31.230416", Longitude="121.473701", Precision="65.0"
    )
    assert (event.kind, event.msg_type, event.event) == ("event.location", "event", "LOCATION")
    assert follower.last_seen_at == moment(4)


def test_people_of_authorization_and_platform_events_are_no_followers(account):
    for kind, fields in [
        ("event.user_info_modified", {"OpenID": "oAffected"}),
        ("event.naming_verify_success", {"ExpiredTime": 1798761600}),
        ("event.MASSSENDJOBFINISH", {"MsgID": 1000000338}),
    ]:
        assert push(account, message_xml(kind, **fields)).status_code == 200
    assert not Subscriber.objects.exists()
    openids = EventLog.objects.order_by("pk").values_list("openid", flat=True)
    assert list(openids) == ["oAffected", "", ""]

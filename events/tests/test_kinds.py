"""The table of kinds: what each part of the site reads from it, written out a second time."""

from __future__ import annotations

import pytest

from events.kinds import KINDS, About, kinds_where, openid_of, scene_of
from events.menus import names
from events.simulator.fake_api import windows as fake_windows
from events.wechat.message import Message

from .wechat.vectors import FOLLOWER, ORIGINAL_ID

SYSTEM = "oT3xk5Rw0SystemSender0000001"
PLATFORM_EVENTS = [
    "event.add_store_audit_info",
    "event.annual_renew",
    "event.apply_merchant_audit_info",
    "event.card_merchant_check_result",
    "event.card_not_pass_check",
    "event.card_pass_check",
    "event.card_pay_order",
    "event.card_sku_remind",
    "event.create_map_poi_audit_info",
    "event.freepublishjobfinish",
    "event.masssendjobfinish",
    "event.modify_store_audit_info",
    "event.naming_verify_fail",
    "event.naming_verify_success",
    "event.poi_check_notify",
    "event.publishjobfinish",
    "event.qualification_verify_fail",
    "event.qualification_verify_success",
    "event.user_scan_product_verify_action",
    "event.verify_expired",
    "event.wx_verify_dispatch",
    "event.wx_verify_fail",
    "event.wx_verify_pay_succ",
    "event.wx_verify_refill",
]
AUTHORIZATION_EVENTS = [
    "event.user_authorization_cancellation",
    "event.user_authorization_revoke",
    "event.user_info_modified",
]

# By type of menu entry: the kind that its tap pushes, and the field that EventKey repeats.
PUSHED_BY_MENUS = {
    "click": [("event.click", "key")],
    "scancode_push": [("event.scancode_push", "key")],
    "scancode_waitmsg": [("event.scancode_waitmsg", "key")],
    "pic_sysphoto": [("event.pic_sysphoto", "key")],
    "pic_photo_or_album": [("event.pic_photo_or_album", "key")],
    "pic_weixin": [("event.pic_weixin", "key")],
    "location_select": [("event.location_select", "key")],
    "view": [("event.view", "url")],
    "miniprogram": [("event.view_miniprogram", "pagepath"), ("event.view", "url")],
}


def message(**changes) -> Message:
    """A plain follow, changed; None takes a field away."""
    valid = {
        "ToUserName": ORIGINAL_ID,
        "FromUserName": FOLLOWER,
        "CreateTime": "1767226068",
        "MsgType": "event",
        "Event": "subscribe",
        "EventKey": "",
    }
    fields = {name: value for name, value in (valid | changes).items() if value is not None}
    return Message.from_fields(fields)


def test_whom_a_kind_is_about():
    assert sorted(kinds_where(lambda kind: kind.about is About.NOBODY)) == PLATFORM_EVENTS
    assert sorted(kinds_where(lambda kind: kind.about is About.NAMED)) == AUTHORIZATION_EVENTS


def test_what_the_menu_pushes():
    assert {type_: sorted(pushed) for type_, pushed in names._PUSHED.items()} == {
        type_: sorted(pushed) for type_, pushed in PUSHED_BY_MENUS.items()
    }
    assert {kind for pushed in PUSHED_BY_MENUS.values() for kind, _ in pushed} == names._KINDS


def test_the_simulated_wechat_opens_the_same_windows():
    opening = kinds_where(lambda kind: kind.window not in {None, "message"})
    assert set(opening) == fake_windows._TOUCHES


def test_a_kind_has_one_key_and_a_name():
    assert all(str(kind.name) for kind in KINDS.values())
    assert not [name for name, kind in KINDS.items() if kind.key and kind.menu]


@pytest.mark.parametrize(
    ("event", "event_key", "scene"),
    [
        ("subscribe", "qrscene_123123", "123123"),
        ("subscribe", "qrscene_qrscene_1", "qrscene_1"),
        ("subscribe", "qrscene_a|b_渠道", "a|b_渠道"),
        ("subscribe", " qrscene_1984\n", "1984"),
        ("SUBSCRIBE", "qrscene_1984", "1984"),
        ("subscribe", "qrscene_", ""),
        ("subscribe", "1984", ""),
        ("subscribe", "x_qrscene_1984", ""),
        ("subscribe", "QRSCENE_1984", ""),
        ("subscribe", "last_trade_no_4200002613202601018876543210", ""),
        ("subscribe", "scanbarcode|ean13|6901234567892", ""),
        ("subscribe", "", ""),
        ("subscribe", None, ""),
        ("SCAN", "1984", "1984"),
        ("scan", "bind-7F3K", "bind-7F3K"),
        ("SCAN", "qrscene_123123", "123123"),
        ("SCAN", "qrscene_qrscene_1", "qrscene_1"),
        ("SCAN", "", ""),
        ("SCAN", None, ""),
        ("unsubscribe", "qrscene_1984", ""),
        ("CLICK", "qrscene_1984", ""),
    ],
)
def test_scenes(event, event_key, scene):
    assert scene_of(message(Event=event, EventKey=event_key)) == scene


def test_the_word_scan_as_a_message_type_is_no_scan():
    assert scene_of(message(MsgType="scan", EventKey="1984")) == ""


@pytest.mark.parametrize(
    ("openid", "expected"),
    [
        ({"OpenID": FOLLOWER}, FOLLOWER),
        ({"openid": FOLLOWER}, FOLLOWER),
        ({"OpenId": FOLLOWER}, FOLLOWER),
        ({"OpenID": "", "openid": FOLLOWER}, FOLLOWER),
        ({"OpenID": ["", FOLLOWER]}, FOLLOWER),
        ({"OpenID": {"a": FOLLOWER}}, ""),
        ({"OpenID": "o" * 65}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("kind", AUTHORIZATION_EVENTS)
def test_authorization_events_are_about_the_openid_they_name(kind, openid, expected):
    event = kind.removeprefix("event.").upper()
    assert openid_of(message(FromUserName=SYSTEM, Event=event, **openid)) == expected


@pytest.mark.parametrize("kind", PLATFORM_EVENTS)
def test_platform_events_are_about_nobody(kind):
    parsed = message(FromUserName=SYSTEM, Event=kind.removeprefix("event.").upper())
    assert (openid_of(parsed), parsed.from_user_name) == ("", SYSTEM)


def test_an_openid_in_any_other_event_is_not_the_follower():
    assert openid_of(message(Event="CLICK", OpenID=SYSTEM)) == FOLLOWER

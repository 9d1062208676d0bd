from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import wechatpy
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import openid_of, scene_of
from events.wechat.errors import Unreadable
from events.wechat.message import Message, parse_message, unreadable_key
from events.wechat.xml import parse

from .vectors import FOLLOWER, ORIGINAL_ID

PAYLOADS = Path(__file__).parent / "payloads"

# file name: kind, openid, scene
EXPECTED = {
    "text": ("text", FOLLOWER, ""),
    "text_from_menu_tap": ("text", FOLLOWER, ""),
    "text_from_article": ("text", FOLLOWER, ""),
    "image": ("image", FOLLOWER, ""),
    "voice": ("voice", FOLLOWER, ""),
    "video": ("video", FOLLOWER, ""),
    "shortvideo": ("shortvideo", FOLLOWER, ""),
    "location": ("location", FOLLOWER, ""),
    "link": ("link", FOLLOWER, ""),
    "file": ("file", FOLLOWER, ""),
    "device_text": ("device_text", FOLLOWER, ""),
    "device_event_bind": ("device_event.bind", FOLLOWER, ""),
    "event_subscribe": ("event.subscribe", FOLLOWER, ""),
    "event_subscribe_qrscene": ("event.subscribe", FOLLOWER, "bind-7F3K"),
    "event_subscribe_after_payment": ("event.subscribe", FOLLOWER, ""),
    "event_subscribe_product_page": ("event.subscribe", FOLLOWER, ""),
    "event_unsubscribe": ("event.unsubscribe", FOLLOWER, ""),
    "event_scan": ("event.scan", FOLLOWER, "100245"),
    "event_scan_string_scene": ("event.scan", FOLLOWER, "bind-7F3K"),
    "event_publishjobfinish_failed": ("event.publishjobfinish", "", ""),
    "event_user_info_modified": ("event.user_info_modified", FOLLOWER, ""),
    "event_user_authorization_revoke": ("event.user_authorization_revoke", FOLLOWER, ""),
    "event_user_authorization_cancellation": (
        "event.user_authorization_cancellation",
        FOLLOWER,
        "",
    ),
}
# The other events follow one rule: the kind is the event's name, the sender is the follower.
EXPECTED |= {
    f"event_{name}": (f"event.{name}", FOLLOWER, "")
    for name in [
        "location",
        "click",
        "view",
        "view_miniprogram",
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_weixin",
        "pic_photo_or_album",
        "location_select",
        "templatesendjobfinish",
        "subscribe_msg_popup_event",
        "subscribe_msg_change_event",
        "subscribe_msg_sent_event",
        "kf_create_session",
        "kf_close_session",
        "kf_switch_session",
        "user_get_card",
        "user_gifting_card",
        "user_del_card",
        "user_consume_card",
        "user_pay_from_pay_cell",
        "user_view_card",
        "user_enter_session_from_card",
        "update_member_card",
        "submit_membercard_user_info",
        "giftcard_pay_done",
        "giftcard_send_to_friend",
        "giftcard_user_accept",
        "user_authorize_invoice",
        "update_invoice_status",
        "submit_invoice_title",
        "cloud_invoice_invoiceresult_event",
        "wificonnected",
        "shakearoundusershake",
        "shakearoundlotterybind",
        "merchant_order",
        "user_scan_product",
        "user_scan_product_enter_session",
        "user_scan_product_async",
        "guide_qrcode_scan_event",
        "guide_invite_result_event",
        "debug_demo",
        "enter",
    ]
}
# Except where the sender is a system account.
EXPECTED |= {
    f"event_{name}": (f"event.{name}", "", "")
    for name in [
        "masssendjobfinish",
        "publishjobfinish",
        "qualification_verify_success",
        "naming_verify_success",
        "annual_renew",
        "verify_expired",
        "qualification_verify_fail",
        "naming_verify_fail",
        "card_pass_check",
        "card_not_pass_check",
        "card_sku_remind",
        "card_pay_order",
        "card_merchant_check_result",
        "poi_check_notify",
        "apply_merchant_audit_info",
        "create_map_poi_audit_info",
        "add_store_audit_info",
        "modify_store_audit_info",
        "user_scan_product_verify_action",
    ]
}


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.xml").read_bytes()


def fields(**changes) -> dict:
    """The fields of a plain follow, changed; None takes a field away."""
    valid = {
        "ToUserName": ORIGINAL_ID,
        "FromUserName": FOLLOWER,
        "CreateTime": "1767226068",
        "MsgType": "event",
        "Event": "subscribe",
        "EventKey": "",
    }
    return {name: value for name, value in (valid | changes).items() if value is not None}


def message(**changes) -> Message:
    return Message.from_fields(fields(**changes))


def test_every_payload_file_has_its_line_in_the_table():
    assert {path.stem for path in PAYLOADS.glob("*.xml")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_documented_payloads(name):
    parsed = parse_message(payload(name))
    assert (parsed.kind, openid_of(parsed), scene_of(parsed)) == EXPECTED[name]
    assert parsed.to_user_name == ORIGINAL_ID
    assert parsed.fields == parse(payload(name))
    assert re.fullmatch(r"[0-9a-f]{32}", parsed.dedup_key)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_wechatpy_reads_the_same(name):
    ours, theirs = parse_message(payload(name)), wechatpy.parse_message(payload(name))
    assert (ours.from_user_name, ours.to_user_name) == (theirs.source, theirs.target)
    assert ours.create_time == theirs.time


def test_all_payloads_have_different_dedup_keys():
    keys = [parse_message(path.read_bytes()).dedup_key for path in PAYLOADS.glob("*.xml")]
    assert len(set(keys)) == len(keys)


def test_the_fields_of_a_follow_by_qr_code():
    parsed = parse_message(payload("event_subscribe_qrscene"))
    assert parsed == Message(
        fields={
            "ToUserName": ORIGINAL_ID,
            "FromUserName": FOLLOWER,
            "CreateTime": "1767226105",
            "MsgType": "event",
            "Event": "subscribe",
            "EventKey": "qrscene_bind-7F3K",
            "Ticket": "gQFe8DwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy",
        },
        to_user_name=ORIGINAL_ID,
        from_user_name=FOLLOWER,
        create_time=1767226105,
        msg_type="event",
        event="subscribe",
        event_key="qrscene_bind-7F3K",
        ticket="gQFe8DwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy",
    )


@pytest.mark.parametrize(
    ("name", "path", "length"),
    [
        ("event_pic_sysphoto", ("SendPicsInfo", "PicList"), 1),
        ("event_pic_photo_or_album", ("SendPicsInfo", "PicList"), 2),
        ("event_subscribe_msg_change_event", ("SubscribeMsgChangeEvent", "List"), 1),
        ("event_subscribe_msg_popup_event", ("SubscribeMsgPopupEvent", "List"), 2),
        ("event_publishjobfinish", ("PublishEventInfo", "article_detail", "item"), 2),
        ("event_publishjobfinish_failed", ("PublishEventInfo", "fail_idx"), 2),
        ("event_shakearoundusershake", ("AroundBeacons", "AroundBeacon"), 2),
    ],
)
def test_repeated_elements_of_documented_events(name, path, length):
    value = parse_message(payload(name)).fields
    for step in path:
        value = value[step]
    assert isinstance(value, list)
    assert len(value) == length


@pytest.mark.parametrize(
    ("name", "msg_id"),
    [
        ("text", "23812904477190342"),
        ("device_text", "23812904477199001"),
        ("event_templatesendjobfinish", "4183302297731047425"),
        ("event_masssendjobfinish", "1000000338"),
        ("event_subscribe", ""),
    ],
)
def test_message_ids(name, msg_id):
    assert parse_message(payload(name)).msg_id == msg_id


@pytest.mark.parametrize(
    ("msg_type", "event", "kind"),
    [
        ("event", "SCAN", "event.scan"),
        ("event", "scan", "event.scan"),
        ("EVENT", " Scan ", "event.scan"),
        ("event", "LOCATION", "event.location"),
        ("location", "", "location"),
        ("event", "User_pay_from_pay_cell", "event.user_pay_from_pay_cell"),
        ("device_event", "subscribe_status", "device_event.subscribe_status"),
        ("event", "", "event"),
        ("text", "subscribe", "text"),
        ("event.subscribe", "", "event_subscribe"),
        ("event", "brand new-event/关注", "event.brand_new_event___"),
        ("event", "e" * 100, "event." + "e" * 58),
        ("😀" * 100, "", "_" * 64),
    ],
)
def test_kinds(msg_type, event, kind):
    parsed = message(MsgType=msg_type, Event=event)
    assert parsed.kind == kind
    assert (parsed.msg_type, parsed.event) == (msg_type.strip(), event.strip())


@given(st.text(min_size=1).filter(str.strip), st.text())
def test_a_kind_is_always_a_safe_word(msg_type, event):
    assert re.fullmatch(r"[a-z0-9_.]{1,64}", message(MsgType=msg_type, Event=event).kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"CreateTime": None},
        {"CreateTime": ""},
        {"CreateTime": "0"},
        {"CreateTime": "000"},
        {"CreateTime": "-1"},
        {"CreateTime": "1767226068.5"},
        {"CreateTime": "1767226068000"},
        {"CreateTime": "253402214400"},
        {"CreateTime": "999999999999"},
        {"CreateTime": "now"},
        {"CreateTime": "１７６７２２６０６８"},
        {"CreateTime": {"Seconds": "1767226068"}},
        {"CreateTime": []},
        {"FromUserName": None},
        {"FromUserName": "  "},
        {"FromUserName": "o" * 65},
        {"FromUserName": {"OpenID": FOLLOWER}},
        {"MsgType": None},
        {"MsgType": ""},
        {"MsgType": [{"a": "event"}]},
    ],
)
def test_a_message_that_cannot_be_placed_is_unreadable(changes):
    message()
    with pytest.raises(Unreadable, match=next(iter(changes))):
        message(**changes)


@pytest.mark.parametrize("create_time", ["1", "123456789", "001767226068", "253402214399"])
def test_create_times_that_can_be_stored(create_time):
    parsed = message(CreateTime=create_time)
    assert parsed.create_time == int(create_time)
    datetime.fromtimestamp(parsed.create_time, tz=UTC).astimezone(ZoneInfo("Pacific/Kiritimati"))


def test_the_longest_sender():
    assert message(FromUserName="o" * 64).from_user_name == "o" * 64


def test_a_third_party_platform_push_is_unreadable():
    body = b"<xml><AppId>wx1</AppId><CreateTime>1767226068</CreateTime><InfoType>x</InfoType></xml>"
    with pytest.raises(Unreadable, match="FromUserName"):
        parse_message(body)


def test_fields_that_repeat_or_nest_where_a_text_is_expected():
    parsed = message(
        FromUserName=[FOLLOWER, "oSomebodyElse"],
        Event=[{"a": "CLICK"}, "subscribe"],
        EventKey={"a": "qrscene_1"},
        Ticket=["", "ticket"],
    )
    assert parsed.from_user_name == FOLLOWER
    assert (parsed.event, parsed.event_key, parsed.ticket) == ("subscribe", "", "ticket")


def test_the_ciphertext_of_compatible_mode_is_left_out():
    plain, with_ciphertext = message(Event="CLICK"), message(Event="CLICK", Encrypt="abc")
    assert with_ciphertext == plain
    assert "Encrypt" not in with_ciphertext.fields


TEXT = {"MsgType": "text", "Event": None, "EventKey": None, "Content": "hi", "MsgId": "9"}
SCAN = {"Event": "SCAN", "EventKey": "7", "Ticket": "t"}
CARD = {"Event": "user_get_card", "UserCardCode": "1"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"EventKey": ""}, {"EventKey": None}),
        ({"EventKey": "qrscene_1"}, {"EventKey": "\n qrscene_1 "}),
        ({}, {"NewField": "WeChat adds fields without notice"}),
        (SCAN, SCAN | {"Event": "scan"}),
        (SCAN, SCAN | {"Ticket": " t "}),
        (TEXT, TEXT | {"Content": "the id decides"}),
        (TEXT, TEXT | {"MsgId": " 9 "}),
        (CARD, dict(reversed(CARD.items()))),
    ],
)
def test_deliveries_of_one_push_share_their_dedup_key(first, second):
    assert message(**first).dedup_key == message(**second).dedup_key


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"ToUserName": "gh_000000000000"}),
        ({}, {"FromUserName": FOLLOWER.swapcase()}),
        ({}, {"CreateTime": "1767226069"}),
        ({}, {"Event": "unsubscribe"}),
        ({}, {"EventKey": "qrscene_1"}),
        ({"EventKey": "ab", "Ticket": "c"}, {"EventKey": "a", "Ticket": "bc"}),
        (SCAN, SCAN | {"EventKey": "8"}),
        (SCAN, SCAN | {"Ticket": "u"}),
        (TEXT, TEXT | {"ToUserName": "gh_000000000000"}),
        (TEXT, TEXT | {"FromUserName": FOLLOWER.swapcase()}),
        (TEXT, TEXT | {"CreateTime": "1767226069"}),
        (TEXT, TEXT | {"MsgId": "10"}),
        (TEXT | {"MsgId": None}, TEXT | {"MsgId": None, "Content": "another"}),
        (CARD, CARD | {"UserCardCode": "2"}),
        (CARD, CARD | {"ToUserName": "gh_000000000000"}),
        # A job id is not a message id: several results can carry the same one.
        ({"Event": "J", "MsgID": "1", "Status": "a"}, {"Event": "J", "MsgID": "1", "Status": "b"}),
        ({"Event": "CLICK"}, {"Event": "CLICK", "EventKey": None}),
        ({"Event": "X", "A": "1"}, {"Event": "X", "A": ["1"]}),
    ],
)
def test_different_pushes_have_different_dedup_keys(first, second):
    assert message(**first).dedup_key != message(**second).dedup_key


@pytest.mark.parametrize(
    ("name", "dedup_key"),
    [
        ("text", "c5fccf09378262a1cb7f0e997d3d0589"),
        ("event_subscribe_qrscene", "924251eb560b94f8516d64b08e49aaf9"),
        ("event_user_get_card", "e922569b005d16b6b9f364c961d71205"),
    ],
)
def test_the_recipe_of_dedup_keys_does_not_change(name, dedup_key):
    # Stored rows carry these keys: another recipe would store every retried import twice.
    assert parse_message(payload(name)).dedup_key == dedup_key


def test_unreadable_bodies_have_a_key_of_their_own():
    body = b"<xml><CreateTime>0</CreateTime></xml>"
    assert re.fullmatch(r"[0-9a-f]{32}", unreadable_key(body))
    assert unreadable_key(body) == unreadable_key(bytes(body))
    assert unreadable_key(body) != unreadable_key(body + b"\n")
    assert unreadable_key(b"") != unreadable_key(b"\x00")


@given(st.binary())
def test_parse_message_raises_nothing_but_unreadable(body):
    with pytest.raises(Unreadable):
        parse_message(body)


VALUES = st.recursive(
    st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


@given(
    st.fixed_dictionaries(
        {"CreateTime": VALUES, "FromUserName": VALUES, "MsgType": VALUES, "Event": VALUES}
    )
)
def test_fields_of_any_shape_give_a_message_or_unreadable(changes):
    with contextlib.suppress(Unreadable):
        parsed = message(**changes)
        assert parsed.kind
        assert len(parsed.dedup_key) == 32

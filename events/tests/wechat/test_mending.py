from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.wechat.errors import Forbidden, Unreadable
from events.wechat.mending import WORDS, read
from events.wechat.message import parse_message
from events.wechat.xml import parse

from .vectors import FOLLOWER, ORIGINAL_ID

pytestmark = pytest.mark.any_database

PAYLOADS = Path(__file__).with_name("payloads")
HEAD = (
    f"<ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
    f"<FromUserName><![CDATA[{FOLLOWER}]]></FromUserName>"
    "<CreateTime>1767225661</CreateTime>"
    "<MsgType><![CDATA[text]]></MsgType>"
)
TAIL = "<MsgId>24862334516320000</MsgId>"


def text_body(content: bytes, tail: str = TAIL) -> bytes:
    return (
        f"<xml>{HEAD}<Content><![CDATA[".encode() + content + f"]]></Content>{tail}</xml>".encode()
    )


def envelope(message):
    return (
        message.to_user_name, message.from_user_name, message.create_time, message.kind,
        message.msg_id, message.event, message.event_key, message.ticket,
    )  # fmt: skip


ENVELOPE = (ORIGINAL_ID, FOLLOWER, 1767225661, "text", "24862334516320000", "", "", "")

FORGED = "<FromUserName><![CDATA[other]]></FromUserName>"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("if(a[b[0]]>1)", "if(a[b[0]]>1)"),
        ("a<![CDATA[b]]>c", "a<![CDATA[b]]>c"),
        ("]]>", "]]>"),
        ("]]></Content>", "]]></Content>"),
        ("]]></xml>", "]]></xml>"),
        ("]]></Content></xml>", "]]></Content></xml>"),
        (f"]]></Content>{FORGED}", f"]]></Content>{FORGED}"),
        (f"]]></Content>{FORGED}<Content><![CDATA[", f"]]></Content>{FORGED}<Content><![CDATA["),
        (f"]]></Content>{FORGED}<X><![CDATA[", f"]]></Content>{FORGED}<X><![CDATA["),
        ("a]]></Content><Content><![CDATA[b", "a]]></Content><Content><![CDATA[b"),
        ("a]]><b>c</b><![CDATA[d", "a]]><b>c</b><![CDATA[d"),
        (
            "]]></Content><MsgId>1</MsgId><Content><![CDATA[",
            "]]></Content><MsgId>1</MsgId><Content><![CDATA[",
        ),
        ("]]></Content><MsgId><![CDATA[", "]]></Content><MsgId><![CDATA["),
        (
            "]]></Content><Event>subscribe</Event><Ticket>t</Ticket><Content><![CDATA[x",
            "]]></Content><Event>subscribe</Event><Ticket>t</Ticket><Content><![CDATA[x",
        ),
        ("]]><!DOCTYPE xml>&x;", "]]><!DOCTYPE xml>&x;"),
    ],
)
@pytest.mark.parametrize(
    "tail", [TAIL, TAIL.replace(">2", "><![CDATA[2").replace("</", "]]></"), f"{TAIL}<Idx>1</Idx>"]
)
def test_what_a_follower_types_stays_in_his_text(content, shown, tail):
    message = parse_message(text_body(content.encode(), tail))
    assert envelope(message) == ENVELOPE
    assert message.fields["Content"] == shown
    assert message.is_mended


def test_a_text_cut_within_a_character():
    cut = "绑定".encode()[:-1]
    message = parse_message(text_body(cut))
    assert envelope(message) == ENVELOPE
    assert message.fields["Content"] == "绑\ufffd"
    assert message.is_mended


@pytest.mark.parametrize(
    ("bare", "shown"),
    [
        ("a&#x2;b", "a\ufffdb"),
        ("a&#2;&#0;&#xD800;&#99999999;b", "a\ufffd\ufffd\ufffd\ufffdb"),
        ("a &amp; b & c", "a & b & c"),
        ("&unknown;", "&unknown;"),
        ("a < b", "a < b"),
        ("<b>bold", "<b>bold"),
    ],
)
def test_a_broken_text_without_cdata(bare, shown):
    body = f"<xml>{HEAD}<Content>{bare}</Content>{TAIL}</xml>"
    message = parse_message(body.encode())
    assert envelope(message) == ENVELOPE
    assert message.fields["Content"] == shown
    assert message.is_mended


@pytest.mark.parametrize(
    "body",
    [
        f'\n<?xml version="1.0" encoding="utf-8"?>\n<xml>{HEAD}<Content>a</Content>{TAIL}</xml>',
        f"\ufeff\n<xml>{HEAD}<Content>a</Content>{TAIL}</xml>\n\n",
        f"<xml>{HEAD}<Content>a\x02</Content>{TAIL}</xml>",
        f"<xml>{HEAD}junk]]><Content>a</Content>{TAIL}</xml>",
        f"<xml>{HEAD}<Content>a</Content>{TAIL}",
        f"<xml>{HEAD}<Content>a</Content>{TAIL}</xml></xml>",
        f"<xml>{HEAD}<Content><![CDATA[a</Content>{TAIL}</xml>",
    ],
)
def test_other_faults_around_the_fields(body):
    message = parse_message(body.encode())
    assert envelope(message) == ENVELOPE
    assert message.fields["Content"] == "a"


def test_a_body_that_is_cut_off_keeps_its_sender():
    body = text_body("一段很长的文字".encode())
    for end in range(body.index(b"<Content>"), len(body)):
        message = parse_message(body[:end])
        assert envelope(message)[:4] == ENVELOPE[:4]


def test_fields_inside_a_field():
    info = "<ScanType><![CDATA[qrcode]]></ScanType><ScanResult><![CDATA[{}]]></ScanResult>"
    typed = (
        "]]></ScanResult></ScanCodeInfo><EventKey>x</EventKey><ScanCodeInfo><ScanResult><![CDATA["
    )
    head = HEAD.replace("[text]", "[event]")
    body = (
        f"<xml>{head}<Event><![CDATA[scancode_push]]></Event><EventKey><![CDATA[k]]></EventKey>"
        f"<ScanCodeInfo>{info.format(typed)}</ScanCodeInfo></xml>"
    )
    message = parse_message(body.encode())
    assert message.event_key == "k"
    assert message.fields["ScanCodeInfo"] == {"ScanType": "qrcode", "ScanResult": typed}


def test_what_is_well_formed_is_read_plainly():
    for path in PAYLOADS.glob("*.xml"):
        reading = read(path.read_bytes())
        assert reading == (parse(path.read_bytes()), False)


def test_repeated_fields_that_are_no_texts_stay_a_list():
    body = b"<xml><A>1</A><A>2</A><B><C>3</C></B><B><C>4</C></B></xml>"
    assert read(body) == ({"A": ["1", "2"], "B": [{"C": "3"}, {"C": "4"}]}, False)


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE xml><xml/>",
        b'\n<?xml version="1.0"?><!DOCTYPE xml><xml/>',
        b'<!DOCTYPE xml [<!ENTITY x "y">]><xml><A>\xff&x;</A></xml>',
        b"\n \x02<!DOCTYPE xml><xml/>",
    ],
)
def test_a_dtd_stays_refused(body):
    with pytest.raises(Forbidden):
        read(body)


@pytest.mark.parametrize("sender", [b"o\xff", b"o]]>x", b"", "好".encode(), b"a b"])
def test_a_broken_sender_is_nobody(sender):
    body = text_body(b"a").replace(FOLLOWER.encode(), sender)
    broken = body.replace(b"<Content><![CDATA[a", b"<Content><![CDATA[]]>")
    with pytest.raises(Unreadable, match="FromUserName"):
        parse_message(broken)


MARKUP = st.sampled_from(
    [
        "]]>", "<![CDATA[", "</Content>", "<Content>", "</MsgId>", "<MsgId>", "<MsgId>1</MsgId>",
        FORGED, "<CreateTime>1</CreateTime>", "<Event>subscribe</Event>", "</xml>", "<xml>",
        "<item>",
        "</item>", "<!DOCTYPE x>", "&", "&lt;", "<", ">", "]", "a", " ", "\n", "好", "😀", "\0",
        "\x02",
        "<Title>", "</Title>", "</Label>", "</Description>", "</FromUserName>", "</Recognition>",
    ]
)  # fmt: skip
TYPED = st.lists(MARKUP, max_size=12).map("".join) | st.text(max_size=40)
TYPED_BYTES = (
    st.builds(lambda text, cut: text.encode(errors="ignore")[cut:], TYPED, st.integers(0, 3))
    | st.binary(max_size=60)
    | st.builds(lambda a, b, c: a.encode(errors="ignore") + b + c.encode(errors="ignore"),
                TYPED, st.binary(max_size=3), TYPED)
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@example(b"]]></Content><MsgId><![CDATA[1]]></MsgId><Content><![CDATA[")
@example(b"]]></Content><Encrypt>\xe5")
@given(TYPED_BYTES)
def test_any_bytes_in_a_text_leave_all_else_as_it_is(typed):
    message = parse_message(text_body(typed))
    assert envelope(message) == ENVELOPE
    assert set(message.fields) == {
        "ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId"
    }  # fmt: skip
    assert isinstance(message.fields["Content"], str)


TEXTS = ["Content", "Label", "Title", "Description", "Recognition", "Url", "Remark"]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(TEXTS), TYPED_BYTES, st.lists(st.sampled_from(TEXTS), unique=True))
def test_any_bytes_in_one_of_several_texts_leave_the_envelope_as_it_is(name, typed, others):
    parts = [
        b"<%s><![CDATA[%s]]></%s>" % (n.encode(), typed if n == name else b"ok", n.encode())
        for n in dict.fromkeys([*others, name])
    ]
    body = f"<xml>{HEAD}".encode() + b"".join(parts) + f"{TAIL}</xml>".encode()
    message = parse_message(body)
    assert envelope(message) == ENVELOPE


PLAIN_BYTES = st.binary(max_size=30).filter(lambda b: b"</" not in b) | st.text(
    st.sampled_from("]><&[!\x02好 a"), max_size=20
).map(str.encode).filter(lambda b: b"</" not in b)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WORDS - {"FromUserName", "CreateTime", "MsgType"})), PLAIN_BYTES)
def test_damage_to_a_word_costs_that_word(name, damage):
    fields = {
        "ToUserName": ORIGINAL_ID, "FromUserName": FOLLOWER, "CreateTime": "1767225661",
        "MsgType": "text", name: "x", "Content": "hello", "MsgId": "24862334516320000",
    }  # fmt: skip
    body = b"".join(
        b"<%s><![CDATA[%s]]></%s>" % (n.encode(), damage if n == name else v.encode(), n.encode())
        for n, v in fields.items()
    )
    reading = read(b"<xml>" + body + b"</xml>")
    for other, value in fields.items():
        if other != name:
            assert reading.fields[other] == value


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PAYLOADS.glob("*.xml"))), st.data())
def test_no_damage_to_a_documented_body_forges_its_envelope(path, data):
    body = path.read_bytes()
    at = data.draw(st.integers(body.index(b"</MsgType>") + 10, len(body)))
    damage = data.draw(TYPED_BYTES)
    whole = parse_message(body)
    message = parse_message(body[:at] + damage + body[at:])
    assert message.from_user_name == whole.from_user_name
    assert message.to_user_name == whole.to_user_name
    assert message.create_time == whole.create_time
    assert message.msg_type == whole.msg_type


@settings(max_examples=300, deadline=None)
@given(st.binary() | st.binary().map(lambda inner: b"<xml>" + inner) | TYPED.map(
    lambda text: f"<xml>{text}".encode(errors="ignore")))  # fmt: skip
def test_read_raises_nothing_but_unreadable(body):
    with contextlib.suppress(Unreadable):
        assert isinstance(read(body).fields, dict)


@pytest.mark.slow
def test_ten_thousand_random_bodies_keep_their_sender():
    pieces = [b"]]>", b"<![CDATA[", b"</Content>", b"<Content>", b"</xml>", b"<a>", b"</a>",
              b"&#x2;",
              b"<FromUserName>x</FromUserName>", b"<MsgId>7</MsgId>", b"\xe5\xa5", b"\xff", b" ",
              b"<!DOCTYPE a>", b"&a;", b"\n", b"if(a[b[0]]>1)"]  # fmt: skip
    chance = random.Random(12)
    for _ in range(10_000):
        typed = b"".join(chance.choices(pieces, k=chance.randrange(8)))
        message = parse_message(text_body(typed + chance.randbytes(chance.randrange(4))))
        assert envelope(message) == ENVELOPE


@pytest.mark.parametrize(
    "typed",
    [
        "]]></Content><Content><![CDATA[" * 2000,
        "]]></Content>" * 5000,
        "]]></Content>" + "".join(f"<a{n}>" for n in range(8000)),
        "]]>" + "<a>" * 20_000,
        "]]></Content>" + "<a><a>" * 9000 + "<",
        "<item>" * 9000,
    ],
)
def test_the_largest_hostile_bodies_take_little_time(typed):
    for body in (
        text_body(typed.encode()),
        f"<xml>{HEAD}<Content>{typed}</Content>{TAIL}</xml>".encode(),
        f"<xml>{HEAD}{typed}{TAIL}</xml>".encode(),
    ):
        started = time.process_time()
        message = parse_message(body)
        assert message.from_user_name == FOLLOWER
        assert time.process_time() - started < 1


def test_white_space_in_a_word_is_read_at_once():
    # A page that somebody shares chooses its description.
    typed = "]]></Title><EventKey>" + " " * 5000 + "]</EventKey><x>"
    body = (
        f"<xml>{HEAD}<Title><![CDATA[a]]></Title>"
        f"<Description><![CDATA[{typed}]]></Description>{TAIL}</xml>"
    )
    assert envelope(parse_message(body.encode()))[:5] == ENVELOPE[:5]

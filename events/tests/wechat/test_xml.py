from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from events.wechat import xml
from events.wechat.errors import Unreadable
from events.wechat.xml import MAX_DEPTH, REPEATABLE, cdata, element, parse

PAYLOADS = Path(__file__).with_name("payloads")
ILLEGAL = "\x00\x08\x0b\x0c\x0e\x1f\ufffe\uffff\ud800\udfff"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("<xml/>", {}),
        ("<xml>text</xml>", {}),
        ("<xml><A>1</A></xml>", {"A": "1"}),
        ("<xml><A><![CDATA[1]]></A></xml>", {"A": "1"}),
        ("\ufeff<xml><A>1</A></xml>", {"A": "1"}),
        ('<?xml version="1.0" encoding="UTF-8"?>\n<xml><A>1</A></xml>\n', {"A": "1"}),
        ("<xml>\n  <A> \r\n<![CDATA[user_get_card]]>\t</A>\n</xml>", {"A": "user_get_card"}),
        ("<xml><A><![CDATA[ inside ]]></A></xml>", {"A": "inside"}),
        ("<xml><A><![CDATA[\u3000kept\u3000]]></A></xml>", {"A": "\u3000kept\u3000"}),
        ("<xml><A><![CDATA[]]></A><B/><C></C><D>\n\n\n</D></xml>", dict.fromkeys("ABCD", "")),
        ("<xml><A><![CDATA[a]]]]><![CDATA[>b]]></A></xml>", {"A": "a]]>b"}),
        ("<xml><A>1<!-- remark -->2</A></xml>", {"A": "12"}),
        ("<xml><A>&amp;&lt;&#128512;</A></xml>", {"A": "&<😀"}),
        ("<xml><A><![CDATA[<!DOCTYPE html> 😀]]></A></xml>", {"A": "<!DOCTYPE html> 😀"}),
        ('<xml a="1"><A b="2">1</A></xml>', {"A": "1"}),
        ("<xml><A><B>1</B><C>2</C></A></xml>", {"A": {"B": "1", "C": "2"}}),
        ("<xml><A>text<B>1</B>text</A><C>2</C></xml>", {"A": {"B": "1"}, "C": "2"}),
    ],
)
def test_bodies_and_their_fields(body, fields):
    assert parse(body.encode()) == fields


@pytest.mark.parametrize("name", sorted(REPEATABLE))
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_repeatable_element_is_always_a_list(name, count):
    items = "".join(f"<{name}><N>{n}</N></{name}>" for n in range(count))
    expected = {"Info": {name: [{"N": str(n)} for n in range(count)]}}
    assert parse(f"<xml><Info>{items}</Info></xml>".encode()) == expected


def test_an_empty_repeatable_element_counts():
    assert parse(b"<xml><item/></xml>") == {"item": [""]}


def test_any_other_element_is_a_list_only_if_it_repeats():
    assert parse(b"<xml><A>1</A></xml>") == {"A": "1"}
    assert parse(b"<xml><A>1</A><B>x</B><A>2</A><A>3</A></xml>") == {"A": ["1", "2", "3"], "B": "x"}


@pytest.mark.parametrize("declared", ["gbk", "utf-16", "latin-1", "no-such-encoding", "UTF-7"])
def test_the_declared_encoding_does_not_matter(declared):
    body = f'<?xml version="1.0" encoding="{declared}"?><xml><A>绑定 😀</A></xml>'
    assert parse(body.encode()) == {"A": "绑定 😀"}


@pytest.mark.parametrize("character", "\x00\x01\x08\x0b\x0c\x0e\x1f\ufffe\uffff")
def test_characters_illegal_in_xml_are_stripped(character):
    body = f"<xml><A><![CDATA[be{character}fore 😀]]></A><B>1</B></xml>"
    assert parse(body.encode()) == {"A": "before 😀", "B": "1"}


BOMB = (
    b'<!DOCTYPE xml [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10))
    + b"]><xml><A>&k;</A></xml>"
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not well-formed"),
        (b"   ", "not well-formed"),
        (b"success", "not well-formed"),
        (b'{"ToUserName": "gh_5f2c81d0a7be"}', "not well-formed"),
        (b"<xml><A>1</A>", "not well-formed"),
        (b"<xml><A>1</B></xml>", "not well-formed"),
        (b"<xml/><xml/>", "not well-formed"),
        (b"<xml>&unknown;</xml>", "not well-formed"),
        (b"<xml>&#0;</xml>", "not well-formed"),
        (b"<xml><a:b/></xml>", "not well-formed"),
        (b"\x00\x01\x02", "not well-formed"),
        (b"<html><body/></html>", "root"),
        (b"<XML/>", "root"),
        (b'<xml xmlns="urn:x"><A/></xml>', "root"),
        ("<xml><A>绑定</A></xml>".encode("gbk"), "not UTF-8"),
        ('<?xml version="1.0" encoding="gbk"?><xml><A>绑定</A></xml>'.encode("gbk"), "not UTF-8"),
        ("<xml/>".encode("utf-16"), "not UTF-8"),
        (b"<xml><A>\xed\xa0\x80</A></xml>", "not UTF-8"),
        (b"<!DOCTYPE xml><xml/>", "DTD"),
        (b'<!DOCTYPE xml SYSTEM "http://example.com/x.dtd"><xml/>', "DTD"),
        (b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml>&x;</xml>', "DTD"),
        (b'<!DOCTYPE xml [<!ENTITY % x SYSTEM "http://example.com/">%x;]><xml/>', "DTD"),
        (b"\x01<!DOCTYPE xml><xml/>", "DTD"),
        (BOMB, "DTD"),
        (b"<xml>" + b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH + b"</xml>", "nested"),
        (b"<xml>" + b"<a>" * 100_000, "nested"),
    ],
)
def test_unreadable_bodies(body, reason):
    with pytest.raises(Unreadable, match=reason):
        parse(body)


def test_the_deepest_body_allowed():
    depth = MAX_DEPTH - 1
    value = parse(b"<xml>" + b"<a>" * depth + b"1" + b"</a>" * depth + b"</xml>")
    for _ in range(depth):
        value = value["a"]
    assert value == "1"


def test_a_huge_text():
    text = "好" * 1_000_000
    assert parse(f"<xml><A>{text}</A></xml>".encode()) == {"A": text}


FRAGMENTS = (
    b"<xml> </xml> <A> </A> <item> </item> <![CDATA[ ]]> &x; &#0; <!-- --> 1 \x00 \xff "
    b"\xef\xbf\xbe <!DOCTYPE\nxml\n[ <!ENTITY\nx\n'y'> ]> <?xml\nencoding='gbk'?> "
    b"<a\nxmlns:b='c'> <b:c/>"
).split(b" ")
XML_LIKE = st.lists(st.sampled_from(FRAGMENTS)).map(b"".join)


@given(st.binary() | XML_LIKE | XML_LIKE.map(lambda inner: b"<xml>" + inner + b"</xml>"))
def test_parse_raises_nothing_but_unreadable(body):
    with contextlib.suppress(Unreadable):
        assert isinstance(parse(body), dict)


def children(names, texts):
    ends = st.sampled_from(["", "\n", " "])
    return st.builds("<{0}><![CDATA[{1}]]></{0}>{2}".format, names, texts, ends) | st.builds(
        "<{0}>{1}</{0}>{2}".format, names, texts, ends
    )


USUAL = children(
    st.sampled_from(["A", "FromUserName", "item", "x1", "xml"]),
    st.text(st.sampled_from("\t\n\r>0好😀\x01\x7f\x85\ufffe"), max_size=6),
)
ODD = children(st.sampled_from(["A", "é", "a:b", "1", ""]), st.text(max_size=4)) | st.text("<]&a")
BODIES = (st.lists(USUAL, max_size=4) | st.lists(USUAL | ODD, max_size=4)).map(
    lambda inner: f"<xml>{''.join(inner)}</xml>"
)


@settings(max_examples=500)
@given(BODIES)
def test_the_short_way_through_wechats_usual_form_leads_to_the_same(text):
    text = text.encode(errors="ignore").decode()
    fields = xml.flat_fields(text)
    if fields is not None:
        assert fields == xml._parse_with_expat(text).fields


def test_many_documented_bodies_take_the_short_way_to_the_same():
    bodies = [path.read_text(encoding="utf-8").strip() for path in PAYLOADS.glob("*.xml")]
    usual = {body: fields for body in bodies if (fields := xml.flat_fields(body)) is not None}
    assert len(usual) > 20
    for body, fields in usual.items():
        assert fields == xml._parse_with_expat(body).fields


@given(st.text())
def test_what_is_written_can_be_read(text):
    kept = "".join(character for character in text if character not in ILLEGAL)
    written = element("A", text + ILLEGAL)
    read = fromstring(written).text or ""
    # XML turns carriage returns into newlines; other control characters are gone.
    legal = "".join(c for c in kept if c >= " " or c in "\t\n\r")
    assert read == legal.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "<![CDATA[]]>"),
        ("<a> & 😀", "<![CDATA[<a> & 😀]]>"),
        ("a]]>b", "<![CDATA[a]]]]><![CDATA[>b]]>"),
        # Stripping must not bring the two halves together again.
        ("a]]\x00>b", "<![CDATA[a]]]]><![CDATA[>b]]>"),
        (f"a{ILLEGAL}b", "<![CDATA[ab]]>"),
    ],
)
def test_cdata(text, written):
    assert cdata(text) == written


def test_elements():
    assert element("CreateTime", 1767225661) == "<CreateTime>1767225661</CreateTime>"
    assert element("Image", {"MediaId": "m"}) == "<Image><MediaId><![CDATA[m]]></MediaId></Image>"

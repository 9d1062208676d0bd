"""WeChat's XML, read with suspicion and written with care.

Rules of reading: the root is `<xml>`; attributes do not exist; an element is either a text or a
mapping of its children. The bodies are UTF-8 whatever an XML declaration says, since WeChat sends
nothing else. The only error of `parse` is `Unreadable`; `mending.read` also reads broken bodies.

Two ways lead through a body. expat reads anything; one regular expression reads WeChat's usual
form in a quarter of the time (9 against 33 µs, mean of 71 documented bodies). A property test
holds the two together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from .errors import Forbidden, Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_DEPTH",
    "REPEATABLE",
    "WHITE_SPACE",
    "Content",
    "Value",
    "add",
    "cdata",
    "clean",
    "element",
    "flat_fields",
    "parse",
    "parse_text",
]

Value: TypeAlias = "str | dict[str, Value] | list[Value]"
# What an element is written with: a text, a number, or children.
Content: TypeAlias = "str | int | Mapping[str, Content]"

# Elements that WeChat repeats (事件推送: subscribe_msg_*, MASSSENDJOBFINISH, PUBLISHJOBFINISH,
# ShakearoundUserShake, pic_*). They are a list even when there is one: a parser that gives a dict
# for one and a list for two changes type under code that was only ever tried with one.
REPEATABLE = frozenset({"item", "List", "fail_idx", "AroundBeacon", "PicList"})

# The deepest documented message has 5 levels (MASSSENDJOBFINISH).
MAX_DEPTH = 32

# White space as XML has it. An ideographic space (U+3000) at the edge of a scene is part of it.
WHITE_SPACE = " \t\r\n"

# How WeChat writes nearly all it sends: children of <xml> that hold a CDATA section or a bare word,
# and of that only what XML gives back as it stands. No declaration, attribute, entity or carriage
# return fits into it, so there is nothing in it to guard against.
_CHAR = r"\x00-\x08\x0b-\x1f\ufffe\uffff\]"
_CHILD = rf"<([A-Za-z]\w*+)>(?:<!\[CDATA\[([^{_CHAR}]*+)]]>|([^{_CHAR}<&]*+))</\1>[ \t\n]*+"
_CHILDREN = re.compile(_CHILD, re.ASCII)
_FLAT = re.compile(rf"<xml>[ \t\n]*+(?:{_CHILD})*+</xml>[ \t\n]*+", re.ASCII)

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(body: bytes) -> dict[str, Value]:
    """Return the children of the root `<xml>` by name, raising `Unreadable` for anything else.

    Texts are stripped of the white space around them (some events are pretty-printed around the
    CDATA), an empty element is "". Names in `REPEATABLE` always give a list, other names give one
    only where they do repeat.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("the body is not UTF-8") from error
    try:
        return parse_text(text).fields
    except Unreadable:
        # Users type control characters into fields, and WeChat passes them on inside CDATA.
        cleaned = clean(text)
        if cleaned == text:
            raise
    return parse_text(cleaned).fields


class Parsed(NamedTuple):
    """The children of the root.

    `is_ambiguous`: the body is well-formed, but a text that was typed into one field may have made
    it so. A name outside `REPEATABLE` occurs twice at the top, with others between or as a text; or
    a text has children.
    """

    fields: dict[str, Value]
    is_ambiguous: bool


def parse_text(text: str) -> Parsed:
    """Return what a decoded body holds; raise `Unreadable` where `parse` does."""
    fields = flat_fields(text)
    if fields is not None:
        return Parsed(fields, is_ambiguous=False)
    try:
        return _parse_with_expat(text)
    except ParseError as error:
        raise Unreadable("the body is not well-formed XML") from error


def clean(text: str) -> str:
    """Return `text` without the characters that XML 1.0 cannot carry, lone surrogates included."""
    return NOT_XML.sub("", text)


def cdata(text: str) -> str:
    """Return `text`, cleaned, as CDATA."""
    # "]]>" would end the section; it is cut in two, each half in a section of its own.
    safe = clean(text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{safe}]]>"


def element(name: str, value: Content) -> str:
    """Return `<name>` around `value`: a string as CDATA, an integer bare, a mapping as children."""
    if isinstance(value, str):
        content = cdata(value)
    elif isinstance(value, int):
        content = str(value)
    else:
        content = "".join(element(child, text) for child, text in value.items())
    return f"<{name}>{content}</{name}>"


def flat_fields(text: str) -> dict[str, Value] | None:
    """Return the fields of a body in WeChat's usual form, each once, as they stand in it; or None.

    A value is a text, or a list of one text for a name in `REPEATABLE`.
    """
    if not _FLAT.fullmatch(text):
        return None
    children = _CHILDREN.findall(text, len("<xml>"))
    fields: dict[str, Value] = {
        name: (section or word).strip(WHITE_SPACE) for name, section, word in children
    }
    if len(fields) < len(children):
        return None
    for name in REPEATABLE & fields.keys():
        fields[name] = [fields[name]]
    return fields


def _parse_with_expat(text: str) -> Parsed:
    """Parse `text`; malformed XML is ElementTree's `ParseError`, the rest is `Unreadable`."""
    builder = _Builder()
    # The encoding given here overrides the one in an XML declaration.
    parser = DefusedXMLParser(
        target=builder,
        encoding="utf-8",
        forbid_dtd=True,
        forbid_entities=True,
        forbid_external=True,
    )
    # The guards stay defusedxml's; what is let through goes to the builder without the detour that
    # turns namespaces into ElementTree's names, which WeChat does not use.
    expat = parser.parser
    expat.StartElementHandler = builder.start
    expat.CharacterDataHandler = builder.data
    expat.EndElementHandler = builder.end
    expat.StartCdataSectionHandler = builder.start_cdata
    # It would build a doctype, which is forbidden.
    expat.DefaultHandlerExpand = None
    try:
        parser.feed(text.encode())
        parser.close()
    except DefusedXmlException as error:
        raise Forbidden("the XML has a DTD, entities or external references") from error
    return Parsed(builder.fields, builder.is_ambiguous)


class _Builder:
    """Parser target that builds the mapping directly, so that depth is bounded while reading."""

    def __init__(self) -> None:
        self.fields: dict[str, Value] = {}
        self.is_ambiguous = False
        self._children: list[dict[str, Value]] = []
        self._has_cdata: list[bool] = []
        self._text: list[str] = []
        self._name_before = ""

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if not self._children and name != "xml":
            raise Unreadable("the root element is not <xml>")
        if len(self._children) == MAX_DEPTH:
            raise Unreadable(f"the XML is nested more than {MAX_DEPTH} levels deep")
        if self._has_cdata and self._has_cdata[-1]:
            self.is_ambiguous = True
        self._children.append({})
        self._has_cdata.append(False)
        self._text.clear()

    def start_cdata(self) -> None:
        self._has_cdata[-1] = True

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        children = self._children.pop()
        has_cdata = self._has_cdata.pop()
        text = "".join(self._text).strip(WHITE_SPACE)
        self._text.clear()
        if not self._children:
            self.fields = children
            return
        siblings = self._children[-1]
        if len(self._children) == 1:
            is_repeated = name in siblings and name not in REPEATABLE
            if is_repeated and (has_cdata or name != self._name_before):
                self.is_ambiguous = True
            self._name_before = name
        add(siblings, name, children or text)


def add(fields: dict[str, Value], name: str, value: Value) -> None:
    """Put one more element into a mapping: repeated ones, and those in `REPEATABLE`, as a list."""
    if name not in fields:
        fields[name] = [value] if name in REPEATABLE else value
        return
    present = fields[name]
    if isinstance(present, list):
        present.append(value)
    else:
        fields[name] = [present, value]

"""Reads a body in which one field is broken, at the cost of that field alone.

Followers type markup: `]]>` in a text ends WeChat's CDATA section, since WeChat does not escape it.
Texts are also cut within a UTF-8 character. Then, and where a well-formed body may owe its form to
what was typed (`xml.Parsed.is_ambiguous`), the fields are found by their own marks:

- A field is `<Name>` … `</Name>`, with nothing but white space before the next field begins.
- A name occurs once among its siblings, except those in `xml.REPEATABLE`.
- **A text ends at the last place where it can end.** What a follower types stands between the marks
  of his own field, so fields that he types belong to that text. The fields behind it are WeChat's.
- Words of WeChat (`WORDS`: sender, time, type, ids, …) hold no markup and end at the first place.
  WeChat writes them in front of every text, so that a text cannot reach back into them.

Two texts of one message (title and description of a link) cannot be told apart by any rule if the
follower imitates the marks between them; then the first takes all. Sender, time, type and id stand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .errors import Forbidden, Unreadable
from .xml import MAX_DEPTH, NOT_XML, REPEATABLE, WHITE_SPACE, Value, add, clean, parse_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WORDS", "Reading", "read"]

# Fields that WeChat fills by itself, or with what an operator entered.
WORDS = frozenset(
    {
        "ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "Ticket",
        "MsgId", "MsgID", "MsgDataId", "Idx", "bizmsgmenuid", "MediaId", "MediaId16K",
        "ThumbMediaId", "Format", "PicUrl", "Location_X", "Location_Y", "Scale", "OpenID",
        "Latitude", "Longitude", "Precision", "FileKey", "FileMd5", "FileTotalLen", "Encrypt",
    }
)  # fmt: skip

_DECLARATION = re.compile(r"\ufeff?\s*(?:<\?xml\b[^<>]*\?>\s*)?", re.ASCII)
_ROOT = re.compile(r"<xml\s*>", re.ASCII)
_END_OF_ROOT = re.compile(r"</xml\s*>\s*\Z", re.ASCII)
_OPENING = re.compile(r"<([A-Za-z_][\w.-]*)\s*(/?)>", re.ASCII)
_NESTED = re.compile(r"\s*<[A-Za-z_]", re.ASCII)
# Possessive: the parts share white space, and trying every share takes minutes.
_WORD = re.compile(r"\s*+(?:<!\[CDATA\[[^\]<>]*+\]\]>\s*+|[^\]<>]*+)")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_REFERENCE = re.compile(r"&(?:#([0-9]{1,9})|#x([0-9a-fA-F]{1,8})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}

# Attempts at one body. WeChat's bodies take one for each field.
_MOST_ATTEMPTS = 200
_MOST_FIELDS = 100
# How many places are tried as the end of one field.
_MOST_ENDS = 50


class Reading(NamedTuple):
    """The fields of a body; `is_mended` says that a broken one is among them."""

    fields: dict[str, Value]
    is_mended: bool


def read(body: bytes) -> Reading:
    """Return the fields of a body: by the rules of XML, or of this module where it is broken.

    Bytes that are not UTF-8 become U+FFFD, characters that XML cannot carry are left out. Raises
    `Forbidden` for a DTD, and `Unreadable` where no field can be told.
    """
    reason: Unreadable | None = None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode(errors="replace")
        reason = Unreadable("the body is not UTF-8")
    plain: dict[str, Value] = {}
    try:
        plain, is_ambiguous = parse_text(text)
        if not is_ambiguous:
            return Reading(plain, is_mended=reason is not None)
    except Forbidden:
        raise
    except Unreadable as error:
        reason = reason or error
    text = clean(text)
    fields = _read_cleaned(text) or _read_by_marks(text)
    if fields:
        return Reading(fields, is_mended=True)
    if reason is None:
        return Reading(plain, is_mended=False)
    raise reason


def _read_cleaned(text: str) -> dict[str, Value] | None:
    """The fields of a body whose only fault was characters that XML cannot carry."""
    try:
        parsed = parse_text(text)
    except Forbidden:
        raise
    except Unreadable:
        return None
    return None if parsed.is_ambiguous else parsed.fields


def _read_by_marks(text: str) -> dict[str, Value]:
    """The fields of a body that XML's rules do not read; none where there is no `<xml>`."""
    start = _DECLARATION.match(text)
    begin = start.end() if start else 0
    if text.startswith(("<!DOCTYPE", "<!ENTITY"), begin):
        raise Forbidden("the XML has a DTD, entities or external references")
    root = _ROOT.match(text, begin)
    if not root:
        return {}
    end = _END_OF_ROOT.search(text, root.end())
    inner = text[root.end() : end.start() if end else len(text)]
    return _Fields(inner, depth=1).read() or _whatever_begins(inner)


class _Fields:
    """The children of one element: tries the ends of each field until all of them fit."""

    def __init__(self, text: str, *, depth: int) -> None:
        self._text = text
        self._depth = depth
        self._attempts = 0

    def read(self) -> dict[str, Value] | None:
        """The fields, if `text` consists of fields from its beginning to its end."""
        found = self._fields_from(0, ())
        if found is None:
            return None
        fields: dict[str, Value] = {}
        for name, content in found:
            add(fields, name, _value(name, content, self._depth))
        return fields

    def _fields_from(self, at: int, before: tuple[str, ...]) -> list[tuple[str, str]] | None:
        at = _past_white_space(self._text, at)
        if at == len(self._text):
            return []
        opening = _OPENING.match(self._text, at)
        self._attempts += 1
        if not opening or self._attempts > _MOST_ATTEMPTS or len(before) == _MOST_FIELDS:
            return None
        name, is_empty = opening[1], bool(opening[2])
        if name in before and name not in REPEATABLE:
            return None
        ends = [(opening.end(), opening.end())] if is_empty else _ends(self._text, opening)
        for end_of_content, end in ends:
            rest = self._fields_from(end, (*before, name))
            if rest is not None:
                return [(name, self._text[opening.end() : end_of_content]), *rest]
        return None


def _ends(text: str, opening: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Where the field may end, the likeliest place first: ends of its content and of its mark."""
    name = opening[1]
    closings = re.compile(rf"</{re.escape(name)}\s*>(?=\s*(?:<[A-Za-z_]|\Z))", re.ASCII)
    found = [match.span() for match in closings.finditer(text, opening.end())]
    if name in WORDS or name in REPEATABLE:
        is_intact = found and _WORD.fullmatch(text, opening.end(), found[0][0])
        yield from found[: 1 if is_intact else _MOST_ENDS]
        return
    found = found[: -_MOST_ENDS - 1 : -1]
    if text.startswith(_CDATA, _past_white_space(text, opening.end())):
        # The sort is stable. An end without the end of the section is for a text that lost it.
        found.sort(key=lambda span: not _ends_section(text[max(0, span[0] - 80) : span[0]]))
    yield from found


def _ends_section(text: str) -> bool:
    return text.rstrip(WHITE_SPACE).endswith(_CDATA_END)


def _whatever_begins(text: str) -> dict[str, Value]:
    """The fields of a body that is cut off, or has something between its fields.

    The first of a name counts; a field that does not end goes on to the end of the body.
    """
    fields: dict[str, Value] = {}
    at = 0
    while (opening := _OPENING.search(text, at)) and len(fields) < _MOST_FIELDS:
        name = opening[1]
        end_of_content, at = _some_end(text, opening)
        value = _value(name, text[opening.end() : end_of_content], 1)
        fields.setdefault(name, [value] if name in REPEATABLE else value)
    return fields


def _some_end(text: str, opening: re.Match[str]) -> tuple[int, int]:
    if opening[2]:
        return opening.end(), opening.end()
    closings = re.finditer(rf"</{re.escape(opening[1])}\s*>", text[opening.end() :], re.ASCII)
    spans = [match.span() for match in closings]
    if not spans:
        return len(text), len(text)
    start, end = spans[0 if opening[1] in WORDS else -1]
    return opening.end() + start, opening.end() + end


def _value(name: str, content: str, depth: int) -> Value:
    """What stands between the marks of one field, as well as it can be told."""
    try:
        parsed = parse_text(f"<xml><{name}>{content}</{name}></xml>")
        if not parsed.is_ambiguous and list(parsed.fields) == [name]:
            value = parsed.fields[name]
            if name not in REPEATABLE:
                return value
            if isinstance(value, list) and len(value) == 1:
                return value[0]
    except Unreadable:
        pass
    text = content.strip(WHITE_SPACE)
    if text.startswith(_CDATA):
        return text.removeprefix(_CDATA).removesuffix(_CDATA_END).strip(WHITE_SPACE)
    if _NESTED.match(text) and depth < MAX_DEPTH:
        children = _Fields(text, depth=depth + 1).read()
        if children:
            return children
    return _REFERENCE.sub(_character, text)


def _character(reference: re.Match[str]) -> str:
    decimal, hexadecimal, named = reference.groups()
    if named:
        return _NAMED[named]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    character = chr(number) if number <= 0x10FFFF else "\ufffd"
    return "\ufffd" if NOT_XML.match(character) else character


def _past_white_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITE_SPACE:
        at += 1
    return at

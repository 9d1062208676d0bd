"""Reads a body in which one field is broken, so that only that field suffers.

Followers type markup: `]]>` in a text ends WeChat's CDATA section, since WeChat does not escape it.
Some texts also end within a UTF-8 character. In such bodies, and in well-formed ones whose form may
come from typed markup (`xml.Parsed.is_ambiguous`), this module finds the fields by their tags:

- A field is `<Name>` … `</Name>`; only white space stands between it and the next field.
- A name occurs once among its siblings, except those in `xml.REPEATABLE`.
- **A text ends at the last place where it can end.** A follower's text stands between the tags of
  its own field, so fields that the follower types belong to that text. The fields after it are
  WeChat's.
- Words of WeChat (`WORDS`: sender, time, type, ids, …) hold no markup and end at the first place.
  WeChat writes them before every text, so that a text cannot change them.

A message may have two texts (title and description of a link). If a follower imitates the tags
between them, no rule can separate the two; then the first takes all. Sender, time, type and id stay
right.
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
# The quantifiers are possessive: both parts match white space, and backtracking takes minutes.
_WORD = re.compile(r"\s*+(?:<!\[CDATA\[[^\]<>]*+\]\]>\s*+|[^\]<>]*+)")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_REFERENCE = re.compile(r"&(?:#([0-9]{1,9})|#x([0-9a-fA-F]{1,8})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}

# The most attempts at one body. An unbroken body takes one for each field.
_MOST_ATTEMPTS = 200
_MOST_FIELDS = 100
# How many places to try as the end of one field.
_MOST_ENDS = 50


class Reading(NamedTuple):
    """The fields of a body; `is_mended` says that a broken one is among them."""

    fields: dict[str, Value]
    is_mended: bool


def read(body: bytes) -> Reading:
    """Return the fields of a body by the rules of XML, or of this module if the body is broken.

    Bytes that are not UTF-8 become U+FFFD; characters that XML cannot carry are left out. Raises
    `Forbidden` for a DTD, and `Unreadable` if it finds no field.
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
    """Return the fields of a cleaned body; None if it is still broken or ambiguous."""
    try:
        parsed = parse_text(text)
    except Forbidden:
        raise
    except Unreadable:
        return None
    return None if parsed.is_ambiguous else parsed.fields


def _read_by_marks(text: str) -> dict[str, Value]:
    """Return the fields of a body that is not well-formed; empty if it has no `<xml>`."""
    start = _DECLARATION.match(text)
    begin = start.end() if start else 0
    if text.startswith(("<!DOCTYPE", "<!ENTITY"), begin):
        raise Forbidden("the XML has a DTD, entities or external references")
    root = _ROOT.match(text, begin)
    if not root:
        return {}
    end = _END_OF_ROOT.search(text, root.end())
    inner = text[root.end() : end.start() if end else len(text)]
    return _Fields(inner, depth=1).read() or _fields_with_opening_tags(inner)


class _Fields:
    """The children of one element. `read` tries possible ends of each field until all fit."""

    def __init__(self, text: str, *, depth: int) -> None:
        self._text = text
        self._depth = depth
        self._attempts = 0

    def read(self) -> dict[str, Value] | None:
        """Return the fields if the whole `text` consists of fields, else None."""
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
    """Yield where the field may end, the likeliest place first: the end tag's start and end."""
    name = opening[1]
    closings = re.compile(rf"</{re.escape(name)}\s*>(?=\s*(?:<[A-Za-z_]|\Z))", re.ASCII)
    found = [match.span() for match in closings.finditer(text, opening.end())]
    if name in WORDS or name in REPEATABLE:
        is_intact = found and _WORD.fullmatch(text, opening.end(), found[0][0])
        yield from found[: 1 if is_intact else _MOST_ENDS]
        return
    found = found[: -_MOST_ENDS - 1 : -1]
    if text.startswith(_CDATA, _past_white_space(text, opening.end())):
        # Prefer ends after the end of a CDATA section; the text may have lost it. The sort is
        # stable.
        found.sort(key=lambda span: not _ends_section(text[max(0, span[0] - 80) : span[0]]))
    yield from found


def _ends_section(text: str) -> bool:
    return text.rstrip(WHITE_SPACE).endswith(_CDATA_END)


def _fields_with_opening_tags(text: str) -> dict[str, Value]:
    """Return the fields of a body that is cut off, or has other text between its fields.

    The first field of a name counts; a field without an end goes on to the end of the body.
    """
    fields: dict[str, Value] = {}
    at = 0
    while (opening := _OPENING.search(text, at)) and len(fields) < _MOST_FIELDS:
        name = opening[1]
        end_of_content, at = _likely_end(text, opening)
        value = _value(name, text[opening.end() : end_of_content], 1)
        fields.setdefault(name, [value] if name in REPEATABLE else value)
    return fields


def _likely_end(text: str, opening: re.Match[str]) -> tuple[int, int]:
    if opening[2]:
        return opening.end(), opening.end()
    closings = re.finditer(rf"</{re.escape(opening[1])}\s*>", text[opening.end() :], re.ASCII)
    spans = [match.span() for match in closings]
    if not spans:
        return len(text), len(text)
    start, end = spans[0 if opening[1] in WORDS else -1]
    return opening.end() + start, opening.end() + end


def _value(name: str, content: str, depth: int) -> Value:
    """Return the value between the tags of one field, as well as it can be read."""
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

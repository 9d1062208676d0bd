"""Tables that people open in a spreadsheet: CSV, and cells that are no formulas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rest_framework.utils.encoders import JSONEncoder

__all__ = ["csv_parts", "harmless", "in_parts"]

# What a formula begins with. Chinese input methods write these signs full-width, and spreadsheets
# take them for the others.
_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")


def harmless(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would compute it."""
    return f"'{text}" if text[:1] in _SIGNS else text


def csv_parts(records: Iterable[Mapping[str, Any]], fields: list[str]) -> Iterator[bytes]:
    """The records as CSV, in parts that are worth a write each."""
    yield from in_parts(_csv_lines(records, fields))


def _csv_lines(records: Iterable[Mapping[str, Any]], fields: list[str]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(fields)
    for each in records:
        writer.writerow([_cell(each[name]) for name in fields])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), cls=JSONEncoder)
        case str():
            return harmless(value)
        case _:
            return value


def in_parts(lines: Iterable[str]) -> Iterator[bytes]:
    """The lines in parts that are worth a write each."""
    part: list[str] = []
    for line in lines:
        part.append(line)
        if len(part) == 200:
            yield "".join(part).encode()
            part.clear()
    yield "".join(part).encode()

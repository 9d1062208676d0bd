"""Writes CSV for spreadsheets, in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rest_framework.utils.encoders import JSONEncoder

__all__ = ["csv_lines", "csv_parts", "harmless"]

# A formula begins with one of these. Chinese input methods write them full-width, and spreadsheets
# accept those too.
_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")
# Rows in one part.
_PART = 200
_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def harmless(text: str) -> str:
    """Puts an apostrophe before a text that a spreadsheet would take for a formula."""
    return f"'{text}" if text[:1] in _SIGNS else text


def csv_parts(records: Iterable[Mapping[str, Any]], fields: list[str]) -> Iterator[bytes]:
    """Yields the records as CSV, in parts of 200 rows."""
    yield csv_lines([fields])
    rows = ([each[name] for name in fields] for each in records)
    while part := list(itertools.islice(rows, _PART)):
        yield csv_lines(part)


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """Writes rows of values as lines of CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows(
        [
            # Nearly all values are such texts, and calling _cell for each would double the time.
            value if type(value) is str and value[:1] not in _SIGNS else _cell(value)
            for value in row
        ]
        for row in rows
    )
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return _json(value)
        case str():
            return harmless(value)
        case _:
            return value

"""Cells of tables that people open in a spreadsheet."""

from __future__ import annotations

__all__ = ["harmless"]

# What a formula begins with. Chinese input methods write these signs full-width, and spreadsheets
# take them for the others.
_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")


def harmless(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would compute it."""
    return f"'{text}" if text[:1] in _SIGNS else text

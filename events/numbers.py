"""Whole numbers: those in texts (ids and lengths in requests, tags of followers), percentages."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["number_in", "numbers_in", "percentage"]

# Any number of so many digits fits a column of 64 bits. int() raises for thousands of digits.
_MOST_DIGITS = 18


def number_in(text: str | None) -> int | None:
    """The number that a text writes in digits; None for any other text and for a longer number."""
    if text and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    return None


def numbers_in(texts: Iterable[str]) -> list[int]:
    """The numbers among these texts, in their order."""
    return [number for text in texts if (number := number_in(text)) is not None]


def percentage(part: int, whole: int) -> int | None:
    """How many of a hundred the part is; None of nothing."""
    return round(100 * part / whole) if whole else None

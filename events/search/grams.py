"""Splits texts into pairs of letters, each a 32-bit number for one account and month.

Chinese has no spaces, and most words have two letters, so an index over three letters does not find
them. The number contains account and month. So the index has separate lists for each month of each
account, and a search of the newest month reads no other lists. Two pairs may have the same number;
so the search compares the texts that the index finds with the words themselves.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib

from events.months import Month

__all__ = ["folded", "grams", "words_of"]

_MASK = 0xFFFFFFFF
_BLANKS = re.compile(r"\s+")


def folded(text: str) -> str:
    """Returns the text for comparing: without differences of width, case and white space."""
    # casefold() splits letters such as İ into two characters; the second normalize() joins them.
    small = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _BLANKS.sub(" ", small).strip()


def words_of(query: str) -> list[str]:
    """Returns the words of a query; a text must contain each of them."""
    return list(dict.fromkeys(folded(query).split(" "))) if query.strip() else []


def grams(text: str, account_id: int, month: Month) -> list[int]:
    """Returns the pairs of letters of a folded text as sorted, signed 32-bit numbers."""
    salt = _salt(account_id, month)
    pairs = {text[start : start + 2] for start in range(len(text) - 1)}
    return sorted(_signed(_mixed(pair) ^ salt) for pair in pairs if " " not in pair)


def _signed(number: int) -> int:
    return number - (1 << 32) if number >> 31 else number


@functools.lru_cache(maxsize=4096)
def _salt(account_id: int, month: Month) -> int:
    return zlib.crc32(f"{account_id} {month}".encode())


@functools.lru_cache(maxsize=200_000)
def _mixed(pair: str) -> int:
    """Spreads a pair over all numbers (the finalizer of MurmurHash3)."""
    number = (ord(pair[0]) * 0x9E3779B1 + ord(pair[1])) & _MASK
    number = ((number ^ (number >> 16)) * 0x85EBCA6B) & _MASK
    number = ((number ^ (number >> 13)) * 0xC2B2AE35) & _MASK
    return number ^ (number >> 16)

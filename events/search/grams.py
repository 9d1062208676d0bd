"""Words as pairs of letters, each a number of 32 bits that belongs to one account and month.

Chinese has no spaces, and most words have two letters: indexes over three letters find none of
them. With account and month in the number, each month of each account has lists of its own in the
index, so a search of the newest month reads nothing of the others. Two pairs may have the same
number: what the index finds is compared with the words themselves.
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
    """The text as it is compared: without differences of width, case and blanks."""
    # Letters such as İ become two parts in small letters, which the second pass joins.
    small = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _BLANKS.sub(" ", small).strip()


def words_of(query: str) -> list[str]:
    """The words of a search, each of which a text must contain."""
    return list(dict.fromkeys(folded(query).split(" "))) if query.strip() else []


def grams(text: str, account_id: int, month: Month) -> list[int]:
    """The pairs of letters of a folded text, in order, as signed numbers of 32 bits."""
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

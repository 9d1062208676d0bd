"""Keyed digests of OpenIDs: they recognise an erased person, and name nobody."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from subscribers.models import PseudonymKey

__all__ = ["PREFIX", "digest_of", "new_pseudonym"]

# WeChat's OpenIDs begin with o, so none looks like a pseudonym.
PREFIX = "erased-"


def digest_of(account_id: int, openid: str, *, key: bytes | None = None) -> str:
    """The digest of one person of one account; without the key nobody can compute it."""
    return _keyed(key or PseudonymKey.value(), f"{account_id}:{openid}")


def new_pseudonym(account_id: int, openid: str) -> str:
    """A name for a person who is about to be erased.

    Another one each time: somebody who comes back and is erased again is another row.
    """
    text = f"{account_id}:{openid}:{secrets.token_hex(8)}"
    return PREFIX + _keyed(PseudonymKey.value(), text)[:32]


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

"""Makes pseudonyms for erased people."""

from __future__ import annotations

import secrets

from subscribers.models import PseudonymKey
from subscribers.models.erasure import keyed

__all__ = ["PREFIX", "new_pseudonym"]

# WeChat's OpenIDs begin with o, so none looks like a pseudonym.
PREFIX = "erased-"


def new_pseudonym(account_id: int, openid: str) -> str:
    """A pseudonym for a person who is about to be erased.

    It differs each time: a person who comes back and is erased again is another row.
    """
    text = f"{account_id}:{openid}:{secrets.token_hex(8)}"
    return PREFIX + keyed(PseudonymKey.value(), text)[:32]

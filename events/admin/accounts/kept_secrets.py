"""Keeps the secrets that were typed into a refused form: they go to the browser and back.

They are encrypted, so that no page shows them, and valid for an hour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from events.models.fields import decrypted_within, encrypted

__all__ = ["sealed", "unsealed"]

_PURPOSE = "account form"
_LIFETIME = 3600  # seconds


def sealed(secrets: Mapping[str, str]) -> str:
    """Encrypts secrets for the browser; "" for none."""
    return encrypted(json.dumps([_PURPOSE, dict(secrets)])) if secrets else ""


def unsealed(text: str) -> dict[str, str]:
    """Reverses `sealed`; returns {} if the text is too old, or not from this site."""
    opened = decrypted_within(text, _LIFETIME) if text else None
    if opened is None:
        return {}
    # The values of encrypted columns decrypt here too, but they do not hold such a list.
    try:
        purpose, secrets = json.loads(opened)
    except (TypeError, ValueError):
        return {}
    return dict(secrets) if purpose == _PURPOSE else {}

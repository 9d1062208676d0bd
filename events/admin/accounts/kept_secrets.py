"""Secrets that were typed into a form that was refused, on their way through the browser and back.

They go encrypted, so that no page shows them, and are good for an hour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from events.models.fields import decrypted_within, encrypted

__all__ = ["sealed", "unsealed"]

_PURPOSE = "account form"
_LIFETIME = 3600  # seconds


def sealed(secrets: Mapping[str, str]) -> str:
    return encrypted(json.dumps([_PURPOSE, dict(secrets)])) if secrets else ""


def unsealed(text: str) -> dict[str, str]:
    """What `sealed` was given; nothing if it is too old, or not of our making."""
    opened = decrypted_within(text, _LIFETIME) if text else None
    if opened is None:
        return {}
    # What stands in a column of the database is encrypted alike, but is no such list.
    try:
        purpose, secrets = json.loads(opened)
    except (TypeError, ValueError):
        return {}
    return dict(secrets) if purpose == _PURPOSE else {}

"""Decides in which series an event counts.

Every event counts in the series of its kind. In addition, menu events count under their key,
follows and scans under their scene, and all messages together under MESSAGES. Binding scenes are
secrets, so they are no keys.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping

from events.binding_scenes import is_binding_scene
from events.kinds import Effect, kinds_where
from events.models import Series

__all__ = [
    "ANSWERABLE",
    "FOLLOW",
    "FOUND_FOLLOWING",
    "FOUND_GONE",
    "MENU_KINDS",
    "MESSAGES",
    "MESSAGE_KINDS",
    "SCAN",
    "UNFOLLOW",
    "SeriesKey",
    "key_of",
    "series_of",
    "stored_series",
]

# Account id, kind and key.
SeriesKey = tuple[int, str, str]

FOLLOW, UNFOLLOW, SCAN = "event.subscribe", "event.unsubscribe", "event.scan"
FOUND_FOLLOWING = kinds_where(lambda kind: kind.effect is Effect.FOUND_FOLLOWING)
FOUND_GONE = kinds_where(lambda kind: kind.effect is Effect.FOUND_GONE)
MENU_KINDS = kinds_where(lambda kind: bool(kind.menu))
MESSAGE_KINDS = kinds_where(lambda kind: kind.window == "message")
# Stands for all kinds of messages together. No event has a kind that begins with `stats.`.
MESSAGES = "stats.messages"
# The kinds whose sender expects an answer.
ANSWERABLE = frozenset((*MESSAGE_KINDS, "event.click", "event.scancode_waitmsg"))

_BY_SCENE = frozenset((FOLLOW, SCAN))
_BY_KEY = frozenset(MENU_KINDS)
_ARE_MESSAGES = frozenset(MESSAGE_KINDS)


def key_of(kind: str, event_key: str, scene: str) -> str:
    """Returns the key under which an event counts besides its kind; "" for none."""
    if kind in _BY_SCENE:
        return "" if is_binding_scene(scene) else scene
    return event_key if kind in _BY_KEY else ""


@functools.lru_cache(maxsize=1000)
def series_of(account_id: int, kind: str, event_key: str, scene: str) -> tuple[SeriesKey, ...]:
    """Returns the series in which an event counts."""
    found = [(account_id, kind, "")]
    key = key_of(kind, event_key, scene)
    if key:
        found.append((account_id, kind, key))
    if kind in _ARE_MESSAGES:
        found.append((account_id, MESSAGES, ""))
    return tuple(found)


def stored_series(keys: Iterable[SeriesKey]) -> Mapping[SeriesKey, int]:
    """Returns the ids of these series; makes those that do not exist yet."""
    wanted = set(keys)
    found = _stored(wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        Series.objects.bulk_create(
            [
                Series(account_id=account_id, kind=kind, key=key, digest=_digest(key))
                for account_id, kind, key in missing
            ],
            ignore_conflicts=True,
        )
        found |= _stored(set(missing))
    return found


def _stored(wanted: set[SeriesKey]) -> dict[SeriesKey, int]:
    if not wanted:
        return {}
    rows = Series.objects.filter(
        account__in={account_id for account_id, _, _ in wanted},
        kind__in={kind for _, kind, _ in wanted},
        digest__in={_digest(key) for _, _, key in wanted},
    ).values_list("pk", "account_id", "kind", "key")
    return {(account_id, kind, key): pk for pk, account_id, kind, key in rows}


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()

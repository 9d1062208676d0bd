"""Writes WeChat's answers about followers as rows of the log, so that state has one source.

An answer is an observation: somebody follows, or does not, at the second in which we asked. It is
no act, so no count grows (subscribers/fold/rules.py). The fold reads these columns:

| kind | source | event_time | followed_at |
|---|---|---|---|
| `import.follower` | import | the second we asked | WeChat's `subscribe_time` |
| `reconcile.follow` | reconcile | the second we asked | WeChat's `subscribe_time` |
| `reconcile.unfollow` | reconcile | the second the comparison began | – |

`import.follower` is about an unknown follower, `reconcile.follow` about a known one who did not
count as following. A missed unfollow gets the time when the comparison began, so a follow that
arrives meanwhile is later and wins.

The dedup key is a digest of kind, OpenID and `subscribe_time`. Account and event_time complete the
key, so the same answer stored twice is one row.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Collection

from events.binding_scenes import is_binding_scene
from events.models import EventLog, OfficialAccount
from events.wechat.api.users import Profile
from events.wechat.xml import element
from subscribers.models import Subscriber

__all__ = [
    "IMPORTED",
    "MISSED_FOLLOW",
    "MISSED_UNFOLLOW",
    "Erased",
    "observation",
    "refuse_if_erased",
    "scene_of",
    "second",
]

IMPORTED = "import.follower"
MISSED_FOLLOW = "reconcile.follow"
MISSED_UNFOLLOW = "reconcile.unfollow"

_SOURCES = {
    IMPORTED: EventLog.Source.IMPORT,
    MISSED_FOLLOW: EventLog.Source.RECONCILE,
    MISSED_UNFOLLOW: EventLog.Source.RECONCILE,
}


class Erased(Exception):
    """A person was erased after WeChat was asked: its answer must not make a new follower."""


def refuse_if_erased(people: Collection[int]) -> None:
    """Raises Erased unless all these followers, by their ids, are still who they were.

    Call it in the transaction that stores observations of them, after their fold.
    """
    if Subscriber.objects.filter(pk__in=people, erased_at=None).count() < len(people):
        raise Erased


def second(moment: datetime.datetime) -> datetime.datetime:
    """Cuts a moment to its second, since events have no finer times.

    An answer may be older than an act in the same second, so it decides nothing about such acts.
    """
    return moment.replace(microsecond=0)


def observation(
    account: OfficialAccount,
    kind: str,
    profile: Profile,
    *,
    at: datetime.datetime,
    now: datetime.datetime,
) -> EventLog:
    """The unsaved row of the log for what a profile says; `at` is its event_time."""
    follows = kind != MISSED_UNFOLLOW
    followed = profile.subscribe_time if follows else 0
    return EventLog(
        account=account,
        source=_SOURCES[kind],
        dedup_key=_key(kind, profile.openid, followed),
        kind=kind,
        openid=profile.openid,
        event_time=at,
        followed_at=_moment(followed),
        received_at=now,
        last_delivered_at=now,
        raw=_body(profile).encode(),
        status=EventLog.Status.PROCESSED,
        processed_at=now,
        duration_ms=0,
    )


def scene_of(profile: Profile) -> str:
    """The scene of the code by which somebody followed; "" for a binding scene, which is secret."""
    return "" if is_binding_scene(profile.scene) else profile.scene[:64]


def _moment(seconds: int) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _key(kind: str, openid: str, subscribe_time: int) -> str:
    # After a change here, an answer that is stored again would look new.
    canonical = json.dumps([kind, openid, subscribe_time], separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def _body(profile: Profile) -> str:
    """The answer as XML, for people to read; nothing is computed from it."""
    fields: dict[str, str | int] = {
        "openid": profile.openid,
        "subscribe": int(profile.is_following),
    }
    if profile.is_following:
        fields |= {
            "subscribe_time": profile.subscribe_time,
            "subscribe_scene": profile.subscribe_scene,
            "qr_scene": scene_of(profile),
        }
    return element("xml", fields)

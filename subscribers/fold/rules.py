"""What one event says about a follower, and how two such statements combine.

A follower's state is a fold over the log that does not depend on order: minima, maxima, sums, and
"the value at the minimum / maximum". Of two events with the same time, dedup_key decides, never the
order of arrival. combine() is commutative and associative, with State() as its neutral element, so
folding each event once, in any order and any grouping, gives the same state.
subscribers/fold/sql.py says the same rules as SQL, for live traffic and for removed rows; property
tests compare the two.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from events.binding_scenes import is_binding_scene
from events.kinds import KINDS, Effect, kinds_where

if TYPE_CHECKING:
    from events.models import EventLog

__all__ = ["STATE_KINDS", "State", "combine", "kinds_of", "state_of"]


_EFFECTS = {kind: entry.effect for kind, entry in KINDS.items() if entry.effect is not None}

STATE_KINDS = tuple(_EFFECTS)


def kinds_of(effect: Effect) -> tuple[str, ...]:
    """The kinds of events that have this effect."""
    return kinds_where(lambda entry: entry.effect is effect)


@dataclass(frozen=True, slots=True)
class State:
    """The fold columns of Subscriber, with the same names. Times are aware, None is "never"."""

    first_followed_at: datetime.datetime | None = None
    last_followed_at: datetime.datetime | None = None
    last_unfollowed_at: datetime.datetime | None = None
    last_seen_at: datetime.datetime | None = None
    follow_count: int = 0
    unfollow_count: int = 0
    event_count: int = 0
    first_scene: str = ""
    first_scene_at: datetime.datetime | None = None
    first_scene_key: str = ""
    last_scene: str = ""
    last_scene_at: datetime.datetime | None = None
    last_scene_key: str = ""

    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in STATE_COLUMNS}

    @property
    def is_following(self) -> bool:
        proofs = [at for at in (self.last_followed_at, self.last_seen_at) if at is not None]
        if self.last_unfollowed_at is None:
            return bool(proofs)
        return any(at > self.last_unfollowed_at for at in proofs)


STATE_COLUMNS = tuple(field.name for field in fields(State))


def state_of(event: EventLog) -> State | None:
    """What one event says; None if it says nothing about a follower."""
    effect = _EFFECTS.get(event.kind)
    if effect is None or not event.openid:
        return None
    at = event.event_time
    if effect is Effect.FOUND_FOLLOWING:
        # The follower followed when WeChat was asked. WeChat names the time of the last follow,
        # and the first follow was not later.
        return State(first_followed_at=event.followed_at, last_seen_at=at)
    if effect is Effect.FOUND_GONE:
        return State(last_unfollowed_at=at)
    # A binding scene is a secret of one user, not a place where the follower came from.
    scene = "" if is_binding_scene(event.scene) else event.scene
    scene_at, scene_key = (at, event.dedup_key) if scene else (None, "")
    return State(
        first_followed_at=at if effect is Effect.FOLLOW else None,
        last_followed_at=at if effect is Effect.FOLLOW else None,
        last_unfollowed_at=at if effect is Effect.UNFOLLOW else None,
        last_seen_at=at if effect is Effect.SEEN else None,
        follow_count=int(effect is Effect.FOLLOW),
        unfollow_count=int(effect is Effect.UNFOLLOW),
        event_count=1,
        first_scene=scene,
        first_scene_at=scene_at,
        first_scene_key=scene_key,
        last_scene=scene,
        last_scene_at=scene_at,
        last_scene_key=scene_key,
    )


_T = TypeVar("_T", datetime.datetime, tuple[datetime.datetime, str, str])


def _least(a: _T | None, b: _T | None) -> _T | None:
    return min((value for value in (a, b) if value is not None), default=None)


def _greatest(a: _T | None, b: _T | None) -> _T | None:
    return max((value for value in (a, b) if value is not None), default=None)


def _first_scene(state: State) -> tuple[datetime.datetime, str, str] | None:
    at = state.first_scene_at
    return None if at is None else (at, state.first_scene_key, state.first_scene)


def _last_scene(state: State) -> tuple[datetime.datetime, str, str] | None:
    at = state.last_scene_at
    return None if at is None else (at, state.last_scene_key, state.last_scene)


def combine(a: State, b: State) -> State:
    """The state that two states give together, in any order."""
    first_at, first_key, first_scene = _least(_first_scene(a), _first_scene(b)) or (None, "", "")
    last_at, last_key, last_scene = _greatest(_last_scene(a), _last_scene(b)) or (None, "", "")
    return State(
        first_followed_at=_least(a.first_followed_at, b.first_followed_at),
        last_followed_at=_greatest(a.last_followed_at, b.last_followed_at),
        last_unfollowed_at=_greatest(a.last_unfollowed_at, b.last_unfollowed_at),
        last_seen_at=_greatest(a.last_seen_at, b.last_seen_at),
        follow_count=a.follow_count + b.follow_count,
        unfollow_count=a.unfollow_count + b.unfollow_count,
        event_count=a.event_count + b.event_count,
        first_scene=first_scene,
        first_scene_at=first_at,
        first_scene_key=first_key,
        last_scene=last_scene,
        last_scene_at=last_at,
        last_scene_key=last_key,
    )

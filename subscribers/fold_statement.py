"""The fold of subscribers/fold.py as SQL, for live traffic on both databases."""

from __future__ import annotations

__all__ = ["FOLD_EXPRESSIONS", "REFRESH_WHEN_UNKNOWABLE"]


# A bare MAX() of SQLite is NULL as soon as one argument is, hence the pair of COALESCE.
def _extreme(function: str, name: str) -> str:
    return (
        f"{{{function}}}(COALESCE(old.{name}, excluded.{name}), "
        f"COALESCE(excluded.{name}, old.{name}))"
    )


def _scene_at(which: str, wins: str) -> dict[str, str]:
    better = (
        f"excluded.{which}_at IS NOT NULL AND (old.{which}_at IS NULL OR "
        f"(excluded.{which}_at, excluded.{which}_key) {wins} "
        f"(old.{which}_at, old.{which}_key))"
    )
    return {
        name: f"CASE WHEN {better} THEN excluded.{name} ELSE old.{name} END"
        for name in (which, f"{which}_at", f"{which}_key")
    }


_EXTREMES = {
    "first_followed_at": _extreme("least", "first_followed_at"),
    "last_followed_at": _extreme("greatest", "last_followed_at"),
    "last_unfollowed_at": _extreme("greatest", "last_unfollowed_at"),
    "last_seen_at": _extreme("greatest", "last_seen_at"),
}

# What becomes of each column of a row of State, `old`, when it is combined with `excluded`.
FOLD_EXPRESSIONS = (
    _EXTREMES
    | {
        name: f"old.{name} + excluded.{name}"
        for name in ("follow_count", "unfollow_count", "event_count")
    }
    | _scene_at("first_scene", "<")
    | _scene_at("last_scene", ">")
)

# What proves following and an unfollow in one second have no knowable order: ask WeChat.
REFRESH_WHEN_UNKNOWABLE = (
    f"CASE WHEN {_EXTREMES['last_unfollowed_at']} "
    f"IN ({_EXTREMES['last_followed_at']}, {_EXTREMES['last_seen_at']}) "
    "THEN COALESCE(old.refresh_requested_at, excluded.updated_at) "
    "ELSE old.refresh_requested_at END"
)

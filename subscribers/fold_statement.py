"""The fold of subscribers/fold.py as one SQL statement, for live traffic on both databases."""

from __future__ import annotations

__all__ = ["fold_statement"]


def fold_statement(*, table: str, columns: list[str], vendor: str) -> str:
    """The INSERT that combines a row of State with the one that is there, and returns its id.

    `table` and `columns` are quoted; `vendor` is Django's word for the database.
    """
    least, greatest = ("LEAST", "GREATEST") if vendor == "postgresql" else ("MIN", "MAX")

    # A bare MAX() of SQLite is NULL as soon as one argument is, hence the pair of COALESCE.
    def extreme(function: str, name: str) -> str:
        return (
            f"{function}(COALESCE(old.{name}, excluded.{name}), "
            f"COALESCE(excluded.{name}, old.{name}))"
        )

    extremes = {
        "first_followed_at": extreme(least, "first_followed_at"),
        "last_followed_at": extreme(greatest, "last_followed_at"),
        "last_unfollowed_at": extreme(greatest, "last_unfollowed_at"),
        "last_seen_at": extreme(greatest, "last_seen_at"),
    }

    def scene_at(which: str, wins: str) -> list[str]:
        better = (
            f"excluded.{which}_at IS NOT NULL AND (old.{which}_at IS NULL OR "
            f"(excluded.{which}_at, excluded.{which}_key) {wins} "
            f"(old.{which}_at, old.{which}_key))"
        )
        return [
            f"{name} = CASE WHEN {better} THEN excluded.{name} ELSE old.{name} END"
            for name in (which, f"{which}_at", f"{which}_key")
        ]

    assignments = [
        *(f"{name} = {expression}" for name, expression in extremes.items()),
        *(
            f"{name} = old.{name} + excluded.{name}"
            for name in ("follow_count", "unfollow_count", "event_count")
        ),
        *scene_at("first_scene", "<"),
        *scene_at("last_scene", ">"),
        # What proves following and an unfollow in one second have no knowable order: ask WeChat.
        f"refresh_requested_at = CASE WHEN {extremes['last_unfollowed_at']} "
        f"IN ({extremes['last_followed_at']}, {extremes['last_seen_at']}) "
        "THEN COALESCE(old.refresh_requested_at, excluded.updated_at) "
        "ELSE old.refresh_requested_at END",
        "updated_at = excluded.updated_at",
    ]
    return (
        f"INSERT INTO {table} AS old ({', '.join(columns)}) "
        f"VALUES ({', '.join(['%s'] * len(columns))}) "
        f"ON CONFLICT (account_id, openid) DO UPDATE SET {', '.join(assignments)} RETURNING id"
    )

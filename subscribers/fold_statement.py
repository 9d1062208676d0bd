"""The fold of subscribers/fold.py as SQL that both databases take.

The expressions serve live traffic and removed rows alike; the statement is for the latter.
"""

from __future__ import annotations

from events.upsert import FUNCTIONS
from subscribers.fold import STATE_COLUMNS

__all__ = ["FOLD_EXPRESSIONS", "REFRESH_WHEN_UNKNOWABLE", "base_statement"]


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


def base_statement(*, table: str, events: str, vendor: str) -> str:
    """The INSERT that combines what many events say with what the base has of their followers.

    `events` is a SELECT of account_id, openid, event_time, dedup_key, effect ("follow",
    "unfollow", "seen" or "activity") and counted_scene ("" for none).
    """
    columns = ", ".join(("account_id", "openid", *STATE_COLUMNS))
    assignments = ", ".join(
        f"{name} = {expression.format(**FUNCTIONS[vendor])}"
        for name, expression in FOLD_EXPRESSIONS.items()
    )

    def extreme(function: str, effect: str) -> str:
        return f"{function}(CASE WHEN effect = '{effect}' THEN event_time END)"

    def count(effect: str) -> str:
        return f"COUNT(CASE WHEN effect = '{effect}' THEN 1 END)"

    # A scene is the one at the least or greatest (event_time, dedup_key). ON CONFLICT after a
    # SELECT needs the WHERE, or SQLite takes it for part of the join.
    return f"""
        WITH spoken AS ({events}),
        totals AS (
            SELECT account_id, openid,
                {extreme("MIN", "follow")} AS first_followed_at,
                {extreme("MAX", "follow")} AS last_followed_at,
                {extreme("MAX", "unfollow")} AS last_unfollowed_at,
                {extreme("MAX", "seen")} AS last_seen_at,
                {count("follow")} AS follow_count,
                {count("unfollow")} AS unfollow_count,
                COUNT(*) AS event_count
            FROM spoken GROUP BY account_id, openid
        ),
        ranked AS (
            SELECT account_id, openid, counted_scene, event_time, dedup_key,
                ROW_NUMBER() OVER (
                    PARTITION BY account_id, openid ORDER BY event_time, dedup_key
                ) AS from_first,
                ROW_NUMBER() OVER (
                    PARTITION BY account_id, openid ORDER BY event_time DESC, dedup_key DESC
                ) AS from_last
            FROM spoken WHERE counted_scene <> ''
        )
        INSERT INTO {table} AS old ({columns})
        SELECT totals.account_id, totals.openid, first_followed_at, last_followed_at,
            last_unfollowed_at, last_seen_at, follow_count, unfollow_count, event_count,
            COALESCE(earliest.counted_scene, ''), earliest.event_time,
            COALESCE(earliest.dedup_key, ''),
            COALESCE(latest.counted_scene, ''), latest.event_time, COALESCE(latest.dedup_key, '')
        FROM totals
        LEFT JOIN ranked AS earliest ON earliest.account_id = totals.account_id
            AND earliest.openid = totals.openid AND earliest.from_first = 1
        LEFT JOIN ranked AS latest ON latest.account_id = totals.account_id
            AND latest.openid = totals.openid AND latest.from_last = 1
        WHERE true
        ORDER BY totals.account_id, totals.openid
        ON CONFLICT (account_id, openid) DO UPDATE SET {assignments}
    """

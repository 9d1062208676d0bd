"""Rows of followers for exports: the fields of the list, made from plain values."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from events.viewer import may, may_see_openids, shown_openid
from subscribers.api.serializers import SubscriberSerializer
from subscribers.tagging.tag_names import named, tag_names

__all__ = ["SubscriberRows"]

_FIELDS = SubscriberSerializer.Meta.fields
_COLUMNS = {
    "id": "pk",
    "account": "account__slug",
    "tags": "tag_ids",
    "bound_user": "bound_username",
}


class SubscriberRows:
    fields: Sequence[str] = _FIELDS
    columns: Sequence[str] = (*(_COLUMNS.get(name, name) for name in _FIELDS), "account_id")

    def shown(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        sees_openids, sees_users = may_see_openids(), may("subscribers.view_binding")
        names: dict[int, Any] = {}
        for row in rows:
            (
                pk, account, openid, is_following, first_followed_at, last_followed_at,
                last_unfollowed_at, last_seen_at, follow_count, unfollow_count, event_count,
                first_scene, last_scene, unionid, tag_ids, bound_user, updated_at, account_id,
            ) = row  # fmt: skip
            if tag_ids and account_id not in names:
                names[account_id] = tag_names([account_id])
            if not sees_openids:
                openid, unionid = shown_openid(openid), shown_openid(unionid)
            yield (
                pk, account, openid, is_following, _time(first_followed_at),
                _time(last_followed_at), _time(last_unfollowed_at), _time(last_seen_at),
                follow_count, unfollow_count, event_count, first_scene, last_scene, unionid,
                named(account_id, tag_ids, names[account_id]) if tag_ids else [],
                bound_user if sees_users else None, _time(updated_at),
            )  # fmt: skip


def _time(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.isoformat()[:-6] + "Z"

"""Keeps follower statistics right when rows are restored to the log, or a person is erased."""

from __future__ import annotations

from events.log.retention_hooks import after_restoring, on_erasure
from events.models.event_log import EventLogQuerySet
from events.stats.counting.roll_up import extent, states_of_accounts
from subscribers.models import FollowerMonth, FollowingInterval, FollowWay, SceneAct
from subscribers.stats.counting.recount import recount_followers

__all__ = ["recount_restored_followers", "rename_person"]


@after_restoring
def recount_restored_followers(events: EventLogQuerySet) -> None:
    """Counts followers from restored rows, if this site had not counted these rows."""
    states = states_of_accounts()
    for account_id, first, last in list(extent(events)):
        frozen_before = states[account_id].frozen_before
        if frozen_before is None or last >= frozen_before:
            list(recount_followers(account_id, first, last))


@on_erasure
def rename_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Replaces a person's OpenID by a pseudonym; no count changes."""
    for model in (FollowerMonth, FollowingInterval, FollowWay, SceneAct):
        rows = model._default_manager.filter(account=account_id, openid=openid)
        rows.update(openid=pseudonym)

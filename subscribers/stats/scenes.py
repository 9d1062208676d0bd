"""Keeps the follows and scans through QR codes, for what came of each code."""

from __future__ import annotations

from events.models import EventLog
from events.models.event_log import EventLogQuerySet
from events.stats.changes import Batch, counter
from events.stats.series import FOLLOW, SCAN, key_of
from subscribers.models import SceneAct

__all__ = ["acts_of_log", "keep_scene_acts"]


@counter
def keep_scene_acts(batch: Batch) -> None:
    acts = []
    for change in batch.changes:
        fact = change.fact
        if not (change.is_new_event and fact.openid and fact.kind in (FOLLOW, SCAN)):
            continue
        scene = key_of(fact.kind, "", fact.scene)
        if scene:
            acts.append(
                SceneAct(
                    event_id=fact.pk,
                    account_id=fact.account_id,
                    at=fact.event_time,
                    scene=scene,
                    openid=fact.openid,
                    is_follow=fact.kind == FOLLOW,
                )
            )
    if acts:
        SceneAct.objects.bulk_create(acts, ignore_conflicts=True)


def acts_of_log(events: EventLogQuerySet) -> dict[int, SceneAct]:
    """The acts among these rows of the log, by the rows' ids."""
    rows = (
        events.filter(kind__in=(FOLLOW, SCAN))
        .exclude(scene="")
        .exclude(openid="")
        .exclude(status__in=[EventLog.Status.QUARANTINED, EventLog.Status.UNREADABLE])
        .values_list("pk", "account_id", "event_time", "kind", "scene", "openid")
    )
    return {
        pk: SceneAct(
            event_id=pk,
            account_id=account_id,
            at=at,
            scene=scene,
            openid=openid,
            is_follow=kind == FOLLOW,
        )
        for pk, account_id, at, kind, scene, openid in rows.iterator(chunk_size=2000)
        if key_of(kind, "", scene)
    }

"""Puts a QR code's tags (用户标签) on the followers who come by it.

It runs as a counter, when the statistics count new events, so it costs the callback nothing.
"""

from __future__ import annotations

import datetime
from collections import defaultdict

from django.db.models import Q
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from events.stats.changes import Batch, counter
from events.stats.series import FOLLOW, SCAN, key_of
from subscribers.models import QRScene, Subscriber
from subscribers.models.scene import tag_names_in
from subscribers.tagging.edit_jobs import change_tag

__all__ = ["tag_comers"]

# Older events put no tags on followers: they are counted late, for instance in a rebuild.
_LATE = datetime.timedelta(days=2)


@counter
def tag_comers(batch: Batch) -> None:
    """Asks the worker to tag followers who came by a code that has tags, on the code's days."""
    came: dict[tuple[int, str], dict[str, datetime.datetime]] = defaultdict(dict)
    since = timezone.now() - _LATE
    for change in batch.changes:
        fact = change.fact
        if not (change.is_new_event and fact.openid and fact.kind in (FOLLOW, SCAN)):
            continue
        scene = key_of(fact.kind, "", fact.scene)
        if scene and fact.event_time > since and fact.source == EventLog.Source.CALLBACK:
            came[fact.account_id, scene][fact.openid] = fact.event_time
    if not came:
        return
    codes = QRScene.objects.exclude(follower_tags="").filter(
        account__in={account for account, _scene in came},
        scene__in={scene for _account, scene in came},
    )
    people: dict[tuple[int, str], set[str]] = defaultdict(set)
    for code in codes:
        for openid, at in came.get((code.account_id, code.scene), {}).items():
            if code.runs_at(at):
                for name in tag_names_in(code.follower_tags):
                    people[code.account_id, name].add(openid)
    accounts = OfficialAccount.objects.in_bulk({account for account, _name in people})
    for (account, name), openids in sorted(people.items()):
        chosen = Subscriber.objects.filter(
            Q(account=account, openid__in=openids, erased_at=None)
        ).values_list("pk", flat=True)
        change_tag(accounts[account], "tag", name, chosen)

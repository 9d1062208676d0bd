"""The alert for follower syncs: the last one found more missed pushes than chance explains."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.db.models import Max

from events.alerts.rules import Condition, sees
from events.limits import Limits
from events.models import Alert
from subscribers.models import FollowerSync

__all__: list[str] = []

# The alert needs more missed pushes than this share of the followers that were compared.
_SHARE = 0.005


@sees("sync")
def _different_syncs(now: datetime.datetime) -> Iterable[Condition]:
    finished = FollowerSync.objects.filter(
        state=FollowerSync.State.FINISHED, account__is_active=True
    )
    latest = finished.order_by().values("account").annotate(last=Max("pk")).values("last")
    limits = Limits()
    for run in FollowerSync.objects.filter(pk__in=latest):
        # An account's first run finds people who followed before this site was there, so it says
        # nothing about missed pushes.
        is_first = not finished.filter(account=run.account_id, pk__lt=run.pk).exists()
        missed = run.missed_follows + run.missed_unfollows
        if not is_first and missed > max(limits.of("sync", run.account_id), run.seen * _SHARE):
            details = {"follows": run.missed_follows, "unfollows": run.missed_unfollows}
            yield Condition("sync", Alert.Level.LATE, run.account_id, details)

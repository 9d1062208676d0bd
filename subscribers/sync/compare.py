"""Runs follower syncs (粉丝同步): the jobs that compare our followers with WeChat's list."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from django.utils import timezone

from events.delays import CALL
from events.jobs.run import claimed, run_job
from events.platform.client import client_for
from events.wechat.api import Client, NotPermitted
from subscribers.models import FollowerSync, ProfileFetch
from subscribers.sync.run import continue_run
from subscribers.sync.turn import Turn

__all__ = ["LEASE", "SLICE", "carry_on", "sync_next"]

# Long enough for a hundred profiles if WeChat refuses each OpenID.
LEASE = datetime.timedelta(minutes=5)
# Seconds after which another run gets a turn.
SLICE = 8


def sync_next(*, lease: datetime.timedelta = LEASE) -> int:
    """Continues the run that is due next for some seconds; returns how many people it compared.

    Call it outside a transaction.
    """
    served = 0
    for sync in claimed(FollowerSync.objects.all(), lease=lease, seconds=0):
        served += carry_on(sync, until=time.monotonic() + SLICE, lease=lease)
    return served


def carry_on(
    sync: FollowerSync,
    *,
    client: Client | None = None,
    until: float | None = None,
    lease: datetime.timedelta = LEASE,
    now: Callable[[], datetime.datetime] = timezone.now,
    tell: Callable[[FollowerSync], None] = lambda sync: None,
) -> int:
    """Continues a claimed run to its end, or until `until` (a time.monotonic()).

    Returns how many people it compared. It stores a failure on the run, and calls `tell` with the
    run after each step.
    """
    served = 0

    def work(sync: FollowerSync) -> None:
        nonlocal served
        turn = Turn(sync, client or client_for(sync.account), until, lease, now, tell)
        try:
            continue_run(turn)
        except NotPermitted as error:
            ProfileFetch.objects.refuse(sync.account, error, now())
            raise
        finally:
            served = turn.served

    run_job(FollowerSync.objects.all(), sync, work, delays=CALL, now=now)
    return served

"""One turn of a run: what all steps of a follower sync share, until the turn's time is over.

The run's row and the marks on followers hold the whole progress of a run. The transaction that
stores observations also writes the progress, and checks the lease. So a run can be killed at any
moment and continued by any worker, and counts no follower twice.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.db import reset_queries

from events.db.transactions import short_transaction
from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.platform.tokens import AccountSwitchedOff
from events.wechat.api import Client
from events.wechat.api.users import BATCH_SIZE, Profile
from subscribers.models import FollowerSync
from subscribers.sync.observations import second

__all__ = ["CHUNK", "LOCK_TIMEOUT", "OutOfTime", "Turn", "chunks"]

# How many OpenIDs are looked up, asked about and stored together.
CHUNK = 500
# Seconds to wait for a lock, since callbacks may hold it.
LOCK_TIMEOUT = 10


class OutOfTime(Exception):
    """This turn is over; another one continues the run."""


class Turn:
    """A claimed run while a worker continues it, until `until` (a time.monotonic()).

    `served` counts the people who were compared. `tell` is called with the run after each step.
    """

    def __init__(
        self,
        sync: FollowerSync,
        client: Client,
        until: float | None,
        lease: datetime.timedelta,
        now: Callable[[], datetime.datetime],
        tell: Callable[[FollowerSync], None],
    ) -> None:
        self.sync = sync
        self.account = sync.account
        self.users = client.users
        self.now = now
        self.tell = tell
        self.served = 0
        self._until = until
        self._lease = lease
        self._renew_at = now() + lease / 3

    def check_that_account_is_active(self) -> None:
        """Raises AccountSwitchedOff if an operator has switched the account off."""
        if not OfficialAccount.objects.filter(pk=self.account.pk, is_active=True).exists():
            raise AccountSwitchedOff(self.account.slug)

    def profiles(
        self, openids: Sequence[str]
    ) -> Iterator[tuple[datetime.datetime, str, Profile | None]]:
        """For each OpenID: when we asked, and WeChat's answer; None if WeChat does not know it."""
        for hundred in chunks(openids, BATCH_SIZE):
            asked_at = second(self.now())
            by_openid = {profile.openid: profile for profile in self.users.infos(hundred).found}
            if self.now() >= self._renew_at:
                self.note()
            for openid in hundred:
                yield asked_at, openid, by_openid.get(openid)

    def store(self, rows: Sequence[EventLog], finish: Callable[[Sequence[bool]], None]) -> None:
        """Stores observations; in the same transaction calls `finish` with whether each is new."""
        if rows:
            deliver(rows, lock_timeout=LOCK_TIMEOUT, then=finish)
        else:
            with short_transaction(LOCK_TIMEOUT):
                finish([])

    def note(self, counts: Mapping[str, int] | None = None, **columns: Any) -> None:
        """Adds counts to the run's row, sets columns, and renews the lease."""
        now = self.now()
        FollowerSync.objects.keep(
            self.sync, until=now + self._lease, counts=counts or {}, **columns
        )
        self._renew_at = now + self._lease / 3

    def end_step(self) -> None:
        """Calls `tell`; raises OutOfTime if the turn is over, or AccountSwitchedOff."""
        # With DEBUG on, Django would keep each statement in memory until the next request.
        reset_queries()
        self.tell(self.sync)
        self.check_that_account_is_active()
        if self._until is not None and time.monotonic() > self._until:
            raise OutOfTime


def chunks(openids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cuts OpenIDs into pieces of `size`; the last may be shorter."""
    for start in range(0, len(openids), size):
        yield openids[start : start + size]

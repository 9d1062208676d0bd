"""Work that is waiting, as rows: what is due, who is at it, and why it failed.

A row that is due is claimed for the length of a lease by a filtered update, so any number of
workers may ask at once; one that is killed loses nothing, since the row is due again when its lease
ends. Whoever finishes names its lease: a worker that was too slow changes nothing any more.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import connections, models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.wechat.api.fields import storable

__all__ = ["CALL_LEASE", "RETRY_DELAYS", "Job", "JobQuerySet"]

# Longer than a call to the platform may take with all that belongs to it: waiting for a token that
# another process refreshes, the call, a fresh token after a rejected one, and the call once more.
CALL_LEASE = datetime.timedelta(seconds=120)
# Seconds of one turn, so that a thousand rows keep no other task from its work.
_TURN = 2.0

# After the last of them a row waits for an operator.
RETRY_DELAYS = tuple(datetime.timedelta(seconds=seconds) for seconds in (30, 120, 600, 3600))

_M = TypeVar("_M", bound="Job")


class JobQuerySet(models.QuerySet[_M], Generic[_M]):
    """Rows of work. The methods that write take the time now as an argument."""

    def due(self, now: datetime.datetime) -> JobQuerySet[_M]:
        """What a worker should take now, whoever may be at it."""
        return self.filter(due_at__lte=now)

    def free(self, now: datetime.datetime) -> JobQuerySet[_M]:
        """What is due and nobody is at."""
        return self.due(now).filter(Q(leased_until=None) | Q(leased_until__lte=now))

    def waiting(self) -> JobQuerySet[_M]:
        """What is due now or later."""
        return self.filter(due_at__isnull=False)

    def failed(self) -> JobQuerySet[_M]:
        """What was given up and waits for an operator."""
        return self.filter(due_at=None).exclude(failure="")

    def claim(self, now: datetime.datetime, *, limit: int, lease: datetime.timedelta) -> list[_M]:
        """Takes up to `limit` rows that are due, longest waiting first, until `lease` is over."""
        name = secrets.token_hex(8)
        free = self.free(now)
        with transaction.atomic(using=self.db):
            chosen = free.order_by("due_at", "pk")
            if connections[self.db].features.has_select_for_update_skip_locked:
                chosen = chosen.select_for_update(skip_locked=True)
            ids = [row.pk for row in chosen.only("pk")[:limit]]
            free.filter(pk__in=ids).update(
                lease=name, leased_until=now + lease, attempts=F("attempts") + 1
            )
        return list(self.filter(pk__in=ids, lease=name).order_by("due_at", "pk"))

    def serve(
        self, serve_one: Callable[[_M], None], *, lease: datetime.timedelta = CALL_LEASE
    ) -> int:
        """Has what is due served, row by row, for about two seconds; returns how many rows were.

        `serve_one` is given a claimed row and ends its work. A row is claimed alone, so that none
        waits under a lease behind a slow call. To be called outside a transaction; any number of
        processes may do so at the same moment.
        """
        until = time.monotonic() + _TURN
        served = 0
        while not served or time.monotonic() < until:
            now = timezone.now()
            # A look costs no lock, and nearly always there is nothing.
            claimed = self.free(now).exists() and self.claim(now, limit=1, lease=lease)
            if not claimed:
                break
            serve_one(claimed[0])
            served += 1
        return served

    def finish(self, row: _M, **columns: Any) -> bool:
        """Ends a claimed row's work and sets `columns`; False if its lease was lost meanwhile."""
        return self._end(
            row, due_at=None, attempts=0, failure="", failure_text="", failed_at=None, **columns
        )

    def release(self, row: _M, now: datetime.datetime) -> bool:
        """Lets go of a claimed row that went well and is to be carried on at once, by anybody."""
        return self._end(row, due_at=now, attempts=0, failure="", failure_text="", failed_at=None)

    def retry_later(
        self,
        row: _M,
        *,
        failure: str,
        text: str,
        now: datetime.datetime,
        delays: Sequence[datetime.timedelta],
        **columns: Any,
    ) -> bool:
        """Notes why a claimed row failed: due again after a growing delay, or given up.

        `delays` are those after the first, second, … attempt; without one for this attempt the row
        waits for an operator. `failure` is a short word to count by, `text` what an operator reads,
        less what a database cannot store; False if the lease was lost meanwhile.
        """
        again = row.attempts <= len(delays)
        return self._end(
            row,
            due_at=now + delays[row.attempts - 1] if again else None,
            failure=failure[:64],
            failure_text=storable(text),
            failed_at=now,
            **columns,
        )

    def try_again(self, now: datetime.datetime) -> int:
        """Makes these rows due at once, with all their attempts; returns how many."""
        return self.failed().update(due_at=now, attempts=0)

    def _end(self, row: _M, **columns: Any) -> bool:
        mine = self.model._default_manager.filter(pk=row.pk, lease=row.lease)
        return bool(mine.exclude(lease="").update(lease="", leased_until=None, **columns))


class Job(models.Model):
    """The columns of a row that a worker has to do something with."""

    due_at = models.DateTimeField(_("due"), null=True, blank=True, default=timezone.now)
    lease = models.CharField(max_length=16, blank=True, default="", editable=False)
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0, editable=False)
    failure = models.CharField(_("failure"), max_length=64, blank=True, default="", editable=False)
    failure_text = models.TextField(_("reason"), blank=True, default="", editable=False)
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True

"""The columns and queries of jobs: what is due, which worker holds it, and why it failed.

A worker claims a due row with a filtered update, for the length of a lease, so any number of
workers can claim at the same time. If a worker is killed, the row is due again when its lease ends.
Each update is filtered by the lease, so a worker that was too slow changes nothing.
`events.jobs.run` runs the jobs.
"""

from __future__ import annotations

import datetime
import secrets
from typing import Any, Generic, TypeVar

from django.db import connections, models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.wechat.api.transport.answer_fields import storable

__all__ = ["Job", "JobQuerySet", "LeaseLost"]

_J = TypeVar("_J", bound="Job")


class LeaseLost(Exception):
    """Another worker has taken the job over, so this worker must write nothing more."""


class JobQuerySet(models.QuerySet[_J], Generic[_J]):
    """Rows of jobs. The methods that write take the time now as an argument."""

    def due(self, now: datetime.datetime) -> JobQuerySet[_J]:
        """Jobs that are due, with or without a lease."""
        return self.filter(due_at__lte=now)

    def free(self, now: datetime.datetime) -> JobQuerySet[_J]:
        """Jobs that are due and that no worker holds."""
        return self.due(now).filter(Q(leased_until=None) | Q(leased_until__lte=now))

    def waiting(self) -> JobQuerySet[_J]:
        """Jobs that are due now or later."""
        return self.filter(due_at__isnull=False)

    def failed(self) -> JobQuerySet[_J]:
        """Jobs that were given up and wait for an operator."""
        return self.filter(due_at=None).exclude(failure="")

    def claim(self, now: datetime.datetime, *, limit: int, lease: datetime.timedelta) -> list[_J]:
        """Claims up to `limit` due rows for the length of `lease`, the longest waiting first."""
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

    def finish(self, row: _J, **columns: Any) -> bool:
        """Ends a claimed job and sets `columns`; False if its lease was lost."""
        return self._end(
            row, due_at=None, attempts=0, failure="", failure_text="", failed_at=None, **columns
        )

    def release(self, row: _J, now: datetime.datetime) -> bool:
        """Gives back a claimed job that went well, but has more work for any worker at once."""
        return self._end(row, due_at=now, attempts=0, failure="", failure_text="", failed_at=None)

    def retry_later(
        self,
        row: _J,
        *,
        again_at: datetime.datetime | None,
        failure: str,
        text: str,
        now: datetime.datetime,
        **columns: Any,
    ) -> bool:
        """Notes why a claimed job failed; without `again_at` it waits for an operator.

        `failure` is a short word for counting, `text` is for operators; characters that a database
        cannot store are removed. Returns False if the lease was lost.
        """
        return self._end(
            row,
            due_at=again_at,
            failure=failure[:64],
            failure_text=storable(text),
            failed_at=now,
            **columns,
        )

    def try_again(self, now: datetime.datetime) -> int:
        """Makes failed jobs due at once and counts their attempts from 0; returns how many."""
        return self.failed().update(due_at=now, attempts=0)

    def _end(self, row: _J, **columns: Any) -> bool:
        mine = self.model._default_manager.filter(pk=row.pk, lease=row.lease)
        return bool(mine.exclude(lease="").update(lease="", leased_until=None, **columns))


class Job(models.Model):
    """The columns of a row on which a worker has to act."""

    # The account whose API the work calls; None for a job of the whole site, which calls no API.
    account_id: int | None = None

    due_at = models.DateTimeField(_("due"), null=True, blank=True, default=timezone.now)
    lease = models.CharField(max_length=16, blank=True, default="", editable=False)
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0, editable=False)
    failure = models.CharField(_("failure"), max_length=64, blank=True, default="", editable=False)
    failure_text = models.TextField(_("reason"), blank=True, default="", editable=False)
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True

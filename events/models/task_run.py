"""The table of task runs: workers claim scheduled tasks here, and operators see the last runs."""

from __future__ import annotations

import datetime
import secrets
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

__all__ = ["TaskRun", "TaskRunQuerySet"]

# A living worker notes runs of its tasks more often than this.
_SILENT_AFTER = datetime.timedelta(minutes=2)


class TaskRunQuerySet(models.QuerySet["TaskRun"]):
    """One row for each task. The methods that write take the time now as an argument."""

    def claim(
        self,
        name: str,
        now: datetime.datetime,
        *,
        next_run_at: datetime.datetime,
        lease: datetime.timedelta,
    ) -> str:
        """Claims a task that is due; returns the lease's name, or "" if the task is not free.

        It sets the next run at once. If the worker is killed, its lease runs out, and then another
        worker takes the unfinished task.
        """
        claimed = secrets.token_hex(8)
        is_time = Q(next_run_at__lte=now, lease="") | Q(leased_until__lte=now)
        taken = self.filter(is_time, name=name).update(
            lease=claimed,
            leased_until=now + lease,
            started_at=now,
            next_run_at=next_run_at,
        )
        return claimed if taken else ""

    def renew(self, name: str, lease: str, until: datetime.datetime) -> bool:
        """Prolongs the lease; False if it was lost."""
        return bool(self.filter(name=name, lease=lease).update(leased_until=until))

    def finish(self, name: str, lease: str, **columns: Any) -> bool:
        """Ends the lease and notes the run; False if the lease was lost."""
        return bool(
            self.filter(name=name, lease=lease).update(lease="", leased_until=None, **columns)
        )

    def is_silent(self, now: datetime.datetime) -> bool:
        """Whether no worker has noted a run lately, and none holds a lease."""
        seen = Q(finished_at__gt=now - _SILENT_AFTER) | Q(leased_until__gt=now)
        return not self.filter(seen).exists()

    def note(self, name: str, *, served: int, **columns: Any) -> None:
        """Notes a run of a task that several workers run at the same time."""
        values = {"served": served, "served_in_all": F("served_in_all") + served, **columns}
        if not self.filter(name=name).update(**values):
            self.bulk_create([self.model(name=name)], ignore_conflicts=True)
            self.filter(name=name).update(**values)


class TaskRun(models.Model):
    """The last run of one task of the worker; for a scheduled task also the next run.

    A worker claims a scheduled task for the length of a lease, which it renews, so one worker runs
    it each time. `served` is how many rows the last run served; for a task with a queue, the last
    few seconds count as one run. `error` is the last run's error, "" if it went well; `failures`
    counts failed runs in a row. `next_run_at` was computed from `schedule`.
    """

    name = models.CharField(_("task"), max_length=64, primary_key=True)
    schedule = models.CharField(max_length=64, blank=True, default="", editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("last run"), null=True, blank=True)
    duration_ms = models.PositiveBigIntegerField(_("duration (ms)"), null=True, blank=True)
    served = models.PositiveBigIntegerField(_("served"), default=0)
    served_in_all = models.PositiveBigIntegerField(_("served in all"), default=0)
    error = models.TextField(_("error"), blank=True, default="")
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    next_run_at = models.DateTimeField(_("next run"), null=True, blank=True)
    lease = models.CharField(max_length=16, blank=True, default="", editable=False)
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TaskRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("background job")
        verbose_name_plural = _("background jobs")

    def __str__(self) -> str:
        return self.name

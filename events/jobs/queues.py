"""Rows that wait for the worker, as operators and metrics see them: how many, how long, how failed.

Every question is bounded, however long a queue has become.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from django.db import models
from django.db.models import Count, Min
from django.urls import reverse

from events.log.process import reopen
from events.models import EventLog
from events.models.job import Job, JobQuerySet
from events.platform.failures import EXPLANATIONS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["COUNTED_UP_TO", "EventQueue", "JobQueue", "Queue"]

# Beyond this many rows a queue is "more than that".
COUNTED_UP_TO = 100_000
# How far back failures are counted. Older ones are found in the lists.
FAILURES_OF = datetime.timedelta(days=30)
_ERRORS_READ = 500


class Queue(Protocol):
    """One kind of rows. `failures` counts those that wait for an operator, by a short reason."""

    @property
    def model(self) -> type[models.Model]: ...

    def is_due(self, now: datetime.datetime) -> bool:
        """Whether a worker would find something to do; asked every second."""

    def waiting(self) -> int:
        """How many rows are due now or later, COUNTED_UP_TO at the most."""

    def due_since(self, now: datetime.datetime) -> datetime.datetime | None:
        """Since when the row that has been due for longest is due; None if none is."""

    def failures(self, now: datetime.datetime) -> Mapping[str, int]:
        """How many were given up in the last 30 days, by reason."""

    def in_words(self, reason: str) -> str:
        """What operators read for a reason; itself where nothing better is known."""

    def failures_url(self, reason: str) -> str:
        """The list of those, for operators."""

    def try_again(self, reason: str, now: datetime.datetime) -> int:
        """Makes those that failed for this reason due again; returns how many."""


@dataclass(frozen=True, slots=True)
class JobQueue:
    """The rows of a model with the columns of `Work`, whose manager is made of `JobQuerySet`.

    The admin's list of the model can be filtered by `failure`, for each of which `sentences` may
    have one that says it in words. `retry` makes failed rows due again and returns how many.
    """

    model: type[Job]
    sentences: Mapping[str, StrOrPromise] = field(default_factory=lambda: EXPLANATIONS)
    retry: Callable[[Any, datetime.datetime], int] = JobQuerySet.try_again

    def is_due(self, now: datetime.datetime) -> bool:
        return self._rows().free(now).exists()

    def waiting(self) -> int:
        return self._rows().waiting().order_by()[:COUNTED_UP_TO].count()

    def due_since(self, now: datetime.datetime) -> datetime.datetime | None:
        oldest: datetime.datetime | None = self._rows().due(now).aggregate(at=Min("due_at"))["at"]
        return oldest

    def failures(self, now: datetime.datetime) -> Mapping[str, int]:
        counted = (
            self._rows()
            .failed()
            .filter(failed_at__gte=now - FAILURES_OF)
            .order_by("failure")
            .values_list("failure")
            .annotate(number=Count("pk"))
        )
        return dict(counted)

    def in_words(self, reason: str) -> str:
        return str(self.sentences.get(reason, reason))

    def failures_url(self, reason: str) -> str:
        return _list_of(self.model, failure=reason)

    def try_again(self, reason: str, now: datetime.datetime) -> int:
        return self.retry(self._rows().failed().filter(failure=reason), now)

    def _rows(self) -> JobQuerySet[Any]:
        rows: JobQuerySet[Any] = self.model._default_manager.all()  # type: ignore[assignment]
        return rows


class EventQueue:
    """The events that are not brought to their outcome; a failure's reason is its exception."""

    model: type[models.Model] = EventLog

    def is_due(self, now: datetime.datetime) -> bool:
        return EventLog.objects.due(now).exists()

    def waiting(self) -> int:
        due = EventLog.objects.filter(next_attempt_at__isnull=False)
        return due.order_by()[:COUNTED_UP_TO].count()

    def due_since(self, now: datetime.datetime) -> datetime.datetime | None:
        return EventLog.objects.due(now).values_list("next_attempt_at", flat=True).first()

    def failures(self, now: datetime.datetime) -> Mapping[str, int]:
        """By the newest of those that were given up, as no index has their reasons."""
        dead = EventLog.objects.with_status(EventLog.Status.DEAD).newest_first()
        errors = dead.values_list("error", flat=True)[:_ERRORS_READ]
        return Counter(_reason(error) for error in errors)

    def in_words(self, reason: str) -> str:
        return reason

    def failures_url(self, reason: str) -> str:
        return _list_of(EventLog, status=EventLog.Status.DEAD)

    def try_again(self, reason: str, now: datetime.datetime) -> int:
        dead = EventLog.objects.with_status(EventLog.Status.DEAD).newest_first()
        chosen = [
            pk
            for pk, error in dead.values_list("pk", "error")[:_ERRORS_READ]
            if _reason(error) == reason
        ]
        return len(reopen(EventLog.objects.filter(pk__in=chosen)))


def _reason(error: str) -> str:
    """The exception's name, from the last line of a traceback."""
    return error.strip().rpartition("\n")[2].partition(":")[0].rpartition(".")[2] or "?"


def _list_of(model: type[models.Model], **filters: str) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}"

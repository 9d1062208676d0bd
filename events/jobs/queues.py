"""Shows the queues of rows that wait for the worker to operators and metrics.

Waiting rows are counted only up to a limit, for a queue of any length.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from django.db import models
from django.db.models import Count, Min

from events.log.process import reopen
from events.models import EventLog
from events.models.job import Job, JobQuerySet
from events.platform.failures import EXPLANATIONS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["COUNTED_UP_TO", "EventQueue", "JobQueue", "Queue"]

# Counting a queue stops at this number of rows.
COUNTED_UP_TO = 100_000
# Older failures are not counted; the lists show them.
FAILURES_OF = datetime.timedelta(days=30)
_ERRORS_READ = 500


class Queue(Protocol):
    """One kind of rows that wait for the worker."""

    @property
    def model(self) -> type[models.Model]: ...

    def is_due(self, now: datetime.datetime) -> bool:
        """Whether a worker would find something to do; called every second."""

    def waiting(self) -> int:
        """How many rows are due now or later, at most COUNTED_UP_TO."""

    def due_since(self, now: datetime.datetime) -> datetime.datetime | None:
        """When the row that has been due for longest became due; None if none is due."""

    def failures(self, now: datetime.datetime) -> Mapping[str, int]:
        """How many rows failed in the last 30 days and wait for an operator, by a short reason."""

    def in_words(self, reason: str) -> str:
        """The sentence that operators read for a reason; the reason itself if there is none."""

    def failed_filter(self, reason: str) -> Mapping[str, str]:
        """The filter with which the admin list shows the rows that failed for this reason."""

    def try_again(self, reason: str, now: datetime.datetime) -> int:
        """Makes the rows that failed for this reason due again; returns how many."""


@dataclass(frozen=True, slots=True)
class JobQueue:
    """The queue of a model that is a `Job` with a manager from a `JobQuerySet`.

    `sentences` explain `Job.failure`. `retry` makes failed rows due again and returns how many.
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
            self._failed()
            .filter(failed_at__gte=now - FAILURES_OF)
            .order_by("failure")
            .values_list("failure")
            .annotate(number=Count("pk"))
        )
        return dict(counted)

    def in_words(self, reason: str) -> str:
        return str(self.sentences.get(reason, reason))

    def failed_filter(self, reason: str) -> Mapping[str, str]:
        return {"failure": reason}

    def try_again(self, reason: str, now: datetime.datetime) -> int:
        return self.retry(self._failed().filter(failure=reason), now)

    def _rows(self) -> JobQuerySet[Any]:
        """The rows that may wait for the worker."""
        rows: JobQuerySet[Any] = self.model._default_manager.all()  # type: ignore[assignment]
        return rows

    def _failed(self) -> JobQuerySet[Any]:
        rows: JobQuerySet[Any] = self.model._default_manager.all()  # type: ignore[assignment]
        return rows.failed()


class EventQueue:
    """The queue of events that wait for the worker; a failure's reason is its exception's name."""

    model: type[models.Model] = EventLog

    def is_due(self, now: datetime.datetime) -> bool:
        return EventLog.objects.due(now).exists()

    def waiting(self) -> int:
        due = EventLog.objects.filter(next_attempt_at__isnull=False)
        return due.order_by()[:COUNTED_UP_TO].count()

    def due_since(self, now: datetime.datetime) -> datetime.datetime | None:
        return EventLog.objects.due(now).values_list("next_attempt_at", flat=True).first()

    def failures(self, now: datetime.datetime) -> Mapping[str, int]:
        """Counts only the newest 500 dead events, because no index has their reasons."""
        return Counter(_reason(error) for _, error in self._dead(now))

    def in_words(self, reason: str) -> str:
        return reason

    def failed_filter(self, reason: str) -> Mapping[str, str]:
        return {"status": EventLog.Status.DEAD}

    def try_again(self, reason: str, now: datetime.datetime) -> int:
        chosen = [pk for pk, error in self._dead(now) if _reason(error) == reason]
        return len(reopen(EventLog.objects.filter(pk__in=chosen)))

    def _dead(self, now: datetime.datetime) -> Iterable[tuple[int, str]]:
        """Yields key and error of dead events; the time of arrival stands for that of failure."""
        dead = EventLog.objects.with_status(EventLog.Status.DEAD).newest_first()
        for pk, error, received_at in dead.values_list("pk", "error", "received_at")[:_ERRORS_READ]:
            if received_at >= now - FAILURES_OF:
                yield pk, error


def _reason(error: str) -> str:
    """Returns the exception's name, from the last line of a traceback."""
    return error.strip().rpartition("\n")[2].partition(":")[0].rpartition(".")[2] or "?"

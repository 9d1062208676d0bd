"""Metrics of waiting jobs and of the tasks' last runs, read from the database at each scrape.

Every node reports the same, so alert on the maximum over nodes, not on the sum.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from django.db import DatabaseError
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from events.jobs.task import Task
from events.metrics import FROM_DATABASE
from events.models import TaskRun
from wechat_site.tasks import TASKS

logger = logging.getLogger(__name__)


class _TaskCollector(Collector):
    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        try:
            return [*self._queues(), *self._runs()]
        except DatabaseError:
            # The other counters must stay readable while the database does not answer.
            logger.warning("The metrics of jobs could not be read", exc_info=True)
            return []

    def _queues(self) -> Iterable[Metric]:
        now = timezone.now()
        waiting = GaugeMetricFamily(
            "wechat_jobs_waiting", "Rows that are due now or later", labels=["task"]
        )
        oldest = GaugeMetricFamily(
            "wechat_jobs_oldest_seconds",
            "For how long the row that waits longest has been due",
            labels=["task"],
        )
        failed = GaugeMetricFamily(
            "wechat_jobs_failed",
            "Rows of the last 30 days that wait for an operator",
            labels=["task", "reason"],
        )
        for task in self._tasks:
            if task.queue is None:
                continue
            waiting.add_metric([task.name], task.queue.waiting())
            since = task.queue.due_since(now)
            oldest.add_metric([task.name], (now - since).total_seconds() if since else 0)
            for reason, number in task.queue.failures(now).items():
                failed.add_metric([task.name, reason], number)
        return waiting, oldest, failed

    def _runs(self) -> Iterable[Metric]:
        finished = GaugeMetricFamily(
            "wechat_task_last_run_timestamp_seconds", "End of the task's last run", labels=["task"]
        )
        failures = GaugeMetricFamily(
            "wechat_task_failures", "Runs of the task that failed, in a row", labels=["task"]
        )
        names = [task.name for task in self._tasks]
        for run in TaskRun.objects.filter(pk__in=names):
            if run.finished_at is not None:
                finished.add_metric([run.name], run.finished_at.timestamp())
            failures.add_metric([run.name], run.failures)
        return finished, failures


FROM_DATABASE.register(_TaskCollector(TASKS))

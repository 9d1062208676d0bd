"""What waits for the worker, and when it last ran, as metrics: read from the database when asked.

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

from events.metrics import FROM_DATABASE
from events.models import DutyRun
from wechat_site.duties import Duty
from wechat_site.worker import DUTIES

logger = logging.getLogger(__name__)


class _WorkCollector(Collector):
    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties

    def collect(self) -> Iterable[Metric]:
        try:
            return [*self._queues(), *self._runs()]
        except DatabaseError:
            # The counters are worth reading all the same, now more than ever.
            logger.warning("The queues could not be read for the metrics", exc_info=True)
            return []

    def _queues(self) -> Iterable[Metric]:
        now = timezone.now()
        waiting = GaugeMetricFamily(
            "wechat_work_waiting", "Rows that are due now or later", labels=["duty"]
        )
        oldest = GaugeMetricFamily(
            "wechat_work_oldest_seconds",
            "For how long the row that waits longest has been due",
            labels=["duty"],
        )
        failed = GaugeMetricFamily(
            "wechat_work_failed",
            "Rows of the last 30 days that wait for an operator",
            labels=["duty", "reason"],
        )
        for duty in self._duties:
            if duty.queue is None:
                continue
            waiting.add_metric([duty.name], duty.queue.waiting())
            since = duty.queue.due_since(now)
            oldest.add_metric([duty.name], (now - since).total_seconds() if since else 0)
            for reason, number in duty.queue.failures(now).items():
                failed.add_metric([duty.name, reason], number)
        return waiting, oldest, failed

    def _runs(self) -> Iterable[Metric]:
        finished = GaugeMetricFamily(
            "wechat_duty_last_run_timestamp_seconds", "End of the duty's last run", labels=["duty"]
        )
        failures = GaugeMetricFamily(
            "wechat_duty_failures", "Runs of the duty that failed, in a row", labels=["duty"]
        )
        names = [duty.name for duty in self._duties]
        for run in DutyRun.objects.filter(pk__in=names):
            if run.finished_at is not None:
                finished.add_metric([run.name], run.finished_at.timestamp())
            failures.add_metric([run.name], run.failures)
        return finished, failures


FROM_DATABASE.register(_WorkCollector(DUTIES))

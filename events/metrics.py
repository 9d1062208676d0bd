"""Counters of this process, read at /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

callbacks = Counter("wechat_callbacks_total", "Requests to the callback, by outcome", ["outcome"])
# Looked up once: nearly every request is one of these.
stored, duplicate = callbacks.labels("stored"), callbacks.labels("duplicate")
refusals = Counter("wechat_callback_refusals_total", "Requests answered 403, by reason", ["reason"])
odd_timestamps = Counter(
    "wechat_callback_odd_timestamps_total",
    "Authentic pushes dated more than five minutes away from our clock",
)
default_partition_rows = Gauge(
    "wechat_log_default_partition_rows",
    "Rows of the log outside the months' partitions, counted to 10000; NaN without the database",
)

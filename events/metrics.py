"""The metrics at /metrics: counters of the callback, and values that are read from the database.

If PROMETHEUS_MULTIPROC_DIR is set, as `manage.py serve` does, the web processes of a node share
their counters through files in it; then any of them can answer.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = [
    "FROM_DATABASE", "callbacks", "counters", "duplicate", "mended", "odd_timestamps", "refusals",
    "stored",
]  # fmt: skip

# The same values on every node and in every process.
FROM_DATABASE = CollectorRegistry()

callbacks = Counter("wechat_callbacks_total", "Requests to the callback, by outcome", ["outcome"])
# Looked up once, because nearly every request has one of these outcomes.
stored, duplicate = callbacks.labels("stored"), callbacks.labels("duplicate")
refusals = Counter("wechat_callback_refusals_total", "Requests answered 403, by reason", ["reason"])
odd_timestamps = Counter(
    "wechat_callback_odd_timestamps_total",
    "Authentic pushes dated more than five minutes away from our clock",
)
mended = Counter(
    "wechat_callback_mended_total", "Authentic pushes of which one field was broken and mended"
)


def counters() -> CollectorRegistry:
    """Returns the registry with the counters of all web processes of this node.

    Without PROMETHEUS_MULTIPROC_DIR it has only the counters of this process.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry

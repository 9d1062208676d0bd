"""What /metrics says: counters of the callback, and what is read from the database when asked.

The web processes of a node share their counters through files where PROMETHEUS_MULTIPROC_DIR says
so, as `manage.py serve` has it; then it does not matter which of them answers.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = [
    "FROM_DATABASE", "callbacks", "counters", "duplicate", "mended", "odd_timestamps", "refusals",
    "stored",
]  # fmt: skip

# Alike on every node and in every process.
FROM_DATABASE = CollectorRegistry()

callbacks = Counter("wechat_callbacks_total", "Requests to the callback, by outcome", ["outcome"])
# Looked up once: nearly every request is one of these.
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
    """Where the counters of all web processes of this node are read; elsewhere of this process."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry

"""The views for monitoring: alive, ready, metrics."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from events.metrics import FROM_DATABASE, counters
from events.people.client_address import is_local_peer
from wechat_site.monitoring import task_metrics  # noqa: F401  (it registers itself)

__all__ = ["alive", "metrics", "ready"]


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """/healthz: this process answers."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """/readyz: this node reaches its database, which is all the callback needs.

    It does not check the worker: a dead worker must not take web nodes out of the load balancer.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        return HttpResponse("database not reachable", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """/metrics: the counters of this node's web processes, and the worker's jobs.

    It answers requests with METRICS_TOKEN or, without that setting, requests from this machine.
    """
    if not _may_read_metrics(request):
        return HttpResponse("forbidden", status=403, content_type="text/plain")
    text = generate_latest(counters()) + generate_latest(FROM_DATABASE)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    return is_local_peer(request)

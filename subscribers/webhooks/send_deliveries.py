"""Sends deliveries, as jobs of the worker: signs them, retries for three days, keeps each attempt.

A turn takes some deliveries of one endpoint and sends them side by side; an endpoint that fails
gets one at a time. If a worker is killed, its deliveries are sent again when their lease ends. So
an endpoint gets each delivery at least once.
"""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from standardwebhooks import Webhook

from events.delays import WEBHOOK, WEBHOOK_ENDPOINT, lasting
from events.jobs.queues import JobQueue
from events.models.job import JobQuerySet
from events.wechat.api.transport.answer_fields import storable
from subscribers.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from subscribers.webhooks.endpoint_standing import FAILING, note_failures, note_success, stop
from subscribers.webhooks.pace import paced
from subscribers.webhooks.post import Answer, NoAnswer, post
from subscribers.webhooks.replay import send_again

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "DeliveryQueue", "send_due"]

FAILURES: dict[str, StrOrPromise] = {
    "timeout": _("It did not answer in time."),
    "connection": _("No connection, or it broke."),
    "name": _("The name of the address leads nowhere."),
    "address": _("The address is private, which this site does not allow."),
    "redirect": _("It answered with a redirect, which is not followed."),
    "refused": _("It answered with an error."),
    "gone": _("It answered 410 Gone, which ends the webhook."),
}

_State = WebhookDelivery.State
# How many deliveries one turn takes, and how many of its requests run side by side.
_BATCH = 16
_SIDE_BY_SIDE = 8
# Seconds in which most answers arrive; one transaction notes these together.
_TOGETHER = 0.1
_LONGEST_WAIT = datetime.timedelta(hours=1)
_AGENT = "wechat-site-webhooks"


class DeliveryQueue(JobQueue):
    """The queue of deliveries; those whose endpoint gets none for a while do not wait in it."""

    def __init__(self) -> None:
        super().__init__(WebhookDelivery, FAILURES, send_again)

    def _rows(self) -> JobQuerySet[WebhookDelivery]:
        later = Q(endpoint__retry_at__gt=timezone.now(), endpoint__paused_at=None)
        return WebhookDelivery.objects.exclude(later).exclude(endpoint__is_active=False)


@dataclass(frozen=True, slots=True)
class _Try:
    """The outcome of one request; `reason` is "" for a success, `wait` is the Retry-After."""

    delivery: WebhookDelivery
    attempt: WebhookAttempt
    reason: str
    wait: datetime.timedelta | None = None


def send_due() -> int:
    """Sends some due deliveries of one endpoint; returns how many attempts it made.

    Call it outside a transaction. Any number of processes may call it at once.
    """
    now = timezone.now()
    for endpoint in _with_due_deliveries(now):
        if endpoint.failures >= FAILING and not _may_try(endpoint, now):
            continue
        limit = 1 if endpoint.failures >= FAILING else _BATCH
        due = WebhookDelivery.objects.filter(endpoint=endpoint.pk)
        claimed = due.claim(now, limit=limit, lease=_lease())
        if claimed:
            with paced():
                _send_all(endpoint, claimed)
            return len(claimed)
    return 0


def _lease() -> datetime.timedelta:
    """The lease of a turn's deliveries: longer than all its requests and DNS queries may take."""
    return datetime.timedelta(seconds=(_BATCH / _SIDE_BY_SIDE + 1) * settings.WEBHOOK_SECONDS + 10)


def _with_due_deliveries(now: datetime.datetime) -> list[WebhookEndpoint]:
    due = WebhookDelivery.objects.filter(endpoint=OuterRef("pk")).free(now)
    may_try = Q(retry_at=None) | Q(retry_at__lte=now) | Q(paused_at__isnull=False)
    found = list(WebhookEndpoint.objects.filter(Exists(due), may_try, is_active=True))
    # The random order spreads the threads over the endpoints.
    random.shuffle(found)
    return found


def _may_try(endpoint: WebhookEndpoint, now: datetime.datetime) -> bool:
    """Whether this worker makes the next attempt at a failing endpoint; only one worker may."""
    if endpoint.paused_at is not None:
        return True
    again = now + lasting(WEBHOOK_ENDPOINT, endpoint.failures - FAILING + 1)
    this = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    is_time = Q(retry_at=None) | Q(retry_at__lte=now)
    return bool(this.filter(is_time, paused_at=None).update(retry_at=again))


def _send_all(endpoint: WebhookEndpoint, deliveries: Sequence[WebhookDelivery]) -> None:
    messages = WebhookMessage.objects.in_bulk([delivery.message_id for delivery in deliveries])
    signers = [Webhook(secret) for secret in endpoint.secrets_at(timezone.now())]

    def send(delivery: WebhookDelivery) -> _Try:
        return _send(endpoint.url, signers, delivery, messages[delivery.message_id])

    # The threads only make requests; this thread alone uses the database.
    there = [delivery for delivery in deliveries if delivery.message_id in messages]
    takes_some = False
    with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(there) or 1)) as threads:
        pending = {threads.submit(send, delivery) for delivery in there}
        while pending:
            # Notes what has finished, so that one slow request does not hold up the others.
            if not wait(pending, _TOGETHER).done:
                wait(pending, return_when=FIRST_COMPLETED)
            done, pending = wait(pending, 0)
            takes_some |= _note(endpoint, [one.result() for one in done], takes_some)


def _send(
    url: str, signers: Sequence[Webhook], delivery: WebhookDelivery, message: WebhookMessage
) -> _Try:
    at = timezone.now()
    began = time.monotonic()
    headers = {
        "content-type": "application/json",
        "user-agent": _AGENT,
        "webhook-id": message.message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(
            signer.sign(message.message_id, at, message.body) for signer in signers
        ),
    }
    answer: Answer | None = None
    reason = error = ""
    try:
        answer = post(url, headers, message.body.encode())
        reason = _reason(answer.status)
    except NoAnswer as failed:
        reason, error = failed.reason, str(failed)
    attempt = WebhookAttempt(
        delivery=delivery,
        at=at,
        duration_ms=round((time.monotonic() - began) * 1000),
        headers=headers,
        status=answer.status if answer else None,
        answer=storable(answer.text) if answer else "",
        error=storable(error)[:200],
    )
    return _Try(delivery, attempt, reason, _retry_after(answer.headers) if answer else None)


def _reason(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return "redirect"
    return "gone" if status == 410 else "refused"


def _retry_after(headers: Mapping[str, str]) -> datetime.timedelta | None:
    """The wait that Retry-After asks for in seconds, at most an hour; None without one."""
    written = headers.get("retry-after", "")
    if not (written.isascii() and written.isdigit() and len(written) < 6):
        return None
    return min(datetime.timedelta(seconds=int(written)), _LONGEST_WAIT)


def _note(endpoint: WebhookEndpoint, tries: Sequence[_Try], takes_some: bool) -> bool:
    """Writes the outcomes of requests in one transaction; returns whether the endpoint took any.

    `takes_some` says that the endpoint took others of this turn: then failures do not count
    against it.
    """
    now = timezone.now()
    rows = WebhookDelivery.objects
    with transaction.atomic():
        # An erasure may have removed some deliveries meanwhile.
        there = set(
            rows.select_for_update()
            .filter(pk__in=[one.delivery.pk for one in tries])
            .values_list("pk", flat=True)
        )
        tries = [one for one in tries if one.delivery.pk in there]
        WebhookAttempt.objects.bulk_create([one.attempt for one in tries])
        _finish([one.delivery for one in tries if not one.reason], now)
        failed = [one for one in tries if one.reason]
        for one in failed:
            _retry_later(endpoint, one, now)
    if any(one.reason == "gone" for one in failed):
        stop(endpoint, WebhookEndpoint.Stopped.GONE)
    elif len(failed) < len(tries):
        note_success(endpoint)
    elif failed and not takes_some:
        note_failures(endpoint, len(failed), now)
    return len(failed) < len(tries)


def _finish(deliveries: Sequence[WebhookDelivery], now: datetime.datetime) -> None:
    """Ends the deliveries of one claim in one statement, since most arrive."""
    if not deliveries:
        return
    mine = WebhookDelivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries])
    mine.filter(lease=deliveries[0].lease).update(
        state=_State.SENT,
        sent_at=now,
        due_at=None,
        lease="",
        leased_until=None,
        attempts=0,
        failure="",
        failure_text="",
        failed_at=None,
    )


def _retry_later(endpoint: WebhookEndpoint, one: _Try, now: datetime.datetime) -> None:
    text = f"{one.attempt.status}: {one.attempt.answer}" if one.attempt.status else ""
    again_at: datetime.datetime | None = None
    state = _State.FAILED
    if endpoint.paused_at is not None or one.reason == "gone":
        # The delivery waits until the endpoint is back, however long that takes.
        state = _State.HELD
    elif one.delivery.attempts <= len(WEBHOOK):
        state = _State.WAITING
        again_at = now + max(WEBHOOK[one.delivery.attempts - 1], one.wait or datetime.timedelta())
    WebhookDelivery.objects.retry_later(
        one.delivery,
        again_at=again_at,
        failure=one.reason,
        text=(text or one.attempt.error)[:500],
        now=now,
        state=state,
    )

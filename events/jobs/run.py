"""Runs jobs: claims a due row with a lease, does its work, and ends it or retries it later.

Every job that calls WeChat goes through `claimed` and `run_job`. Only this module notes what the
work raises:

| the work raises | the job |
|---|---|
| `GaveUp` | waits for an operator |
| `LeaseLost` | belongs to another worker: nothing is written |
| `APIError` with a known end (daily quota, rate limit, paused token) | is retried then |
| `APIError` that is temporary, or a rejected token | is retried after its delays |
| any other `APIError` | waits for an operator |
| `DatabaseError` | is retried after its delays |
| any other exception, a fault of ours | is logged, and waits for an operator |
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import DatabaseError
from django.utils import timezone

from events.binding_scenes import mask
from events.delays import CALL, Delays
from events.models.job import Job, JobQuerySet, LeaseLost
from events.platform.failures import DATABASE, FAULT
from events.platform.rights import note_unauthorized
from events.platform.tokens import TokenPaused
from events.wechat.api import APIError, DailyQuotaReached, RateLimitReached, TokenRejected
from events.wechat.beijing_time import BEIJING

__all__ = ["CALL_LEASE", "Failure", "GaveUp", "claimed", "run_job", "serve"]

logger = logging.getLogger(__name__)

# Longer than the longest call to WeChat, which waits for a token that another process refreshes,
# calls, fetches a new token after a rejected one, and calls once more.
CALL_LEASE = datetime.timedelta(seconds=120)
# Seconds of one turn, so that a thousand jobs do not stop other tasks.
_TURN = 2.0

# After a daily quota ends, wait this long: clocks differ, and at midnight all of WeChat's customers
# call again.
_AFTER_MIDNIGHT = datetime.timedelta(minutes=2)

_J = TypeVar("_J", bound=Job)


class GaveUp(Exception):
    """A retry is useless until an operator has done something; `reason` is a word for counting.

    `columns` are written with the failure.
    """

    def __init__(self, reason: str, **columns: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.columns = columns


@dataclass(frozen=True, slots=True)
class Failure:
    """What the row records of a failed try; without `again_at` the job waits for an operator."""

    reason: str
    text: str
    again_at: datetime.datetime | None
    columns: Mapping[str, Any] = field(default_factory=dict)


def serve(
    rows: JobQuerySet[_J],
    work: Callable[[_J], object],
    *,
    lease: datetime.timedelta = CALL_LEASE,
    delays: Delays = CALL,
) -> int:
    """Runs the jobs that are due, for about two seconds; returns how many.

    Call it outside a transaction. Any number of processes may serve the same rows. `rows` must not
    have `select_related`, because the claim locks them.
    """
    served = 0
    for job in claimed(rows, lease=lease):
        run_job(rows, job, work, delays=delays)
        served += 1
    return served


def claimed(
    rows: JobQuerySet[_J], *, lease: datetime.timedelta, seconds: float = _TURN
) -> Iterator[_J]:
    """Claims due jobs one at a time, for `seconds`; yields at least one if any is due.

    It claims one job at a time, so that no job waits under a lease behind a slow call.
    """
    until = time.monotonic() + seconds
    while True:
        now = timezone.now()
        # Look first without a lock, because nearly always no job is due.
        found = rows.free(now).exists() and rows.claim(now, limit=1, lease=lease)
        if not found:
            return
        yield found[0]
        if time.monotonic() >= until:
            return


def run_job(
    rows: JobQuerySet[_J],
    job: _J,
    work: Callable[[_J], object],
    *,
    delays: Delays = CALL,
    fault_delays: Delays = (),
    amend: Callable[[_J, Exception, Failure], Failure] = lambda job, error, failure: failure,
    now: Callable[[], datetime.datetime] = timezone.now,
) -> Failure | None:
    """Does the work of a claimed job, and notes what the work raises; returns that failure.

    The work itself ends or releases the job. `delays` are the waits after a temporary failure,
    `fault_delays` those after a fault of ours. `amend` may change the failure before it is noted.
    Raises only the errors of the noting itself.
    """
    name = f"{type(job).__name__} {job.pk}"
    try:
        work(job)
    except LeaseLost:
        logger.warning("%s: another worker has taken it over", name)
    except Exception as error:
        at = now()
        if isinstance(error, APIError) and job.account_id is not None:
            note_unauthorized(job.account_id, error)
        failure = amend(job, error, _failure_of(error, job.attempts, at, delays, fault_delays))
        if failure.reason == FAULT:
            logger.exception("%s failed", name)
        elif failure.again_at is None:
            logger.warning("%s waits for an operator: %s", name, mask(str(error)))
        else:
            logger.info("%s is retried at %s: %s", name, failure.again_at, mask(str(error)))
        rows.retry_later(
            job,
            again_at=failure.again_at,
            failure=failure.reason,
            text=mask(failure.text),
            now=at,
            **failure.columns,
        )
        return failure
    return None


def _failure_of(
    error: Exception, attempts: int, now: datetime.datetime, delays: Delays, fault_delays: Delays
) -> Failure:
    def after(delays: Delays) -> datetime.datetime | None:
        return now + delays[attempts - 1] if attempts <= len(delays) else None

    match error:
        case GaveUp():
            return Failure(error.reason, "", None, error.columns)
        case APIError():
            again_at = _again_at(error, now, delays[0], after(delays))
            return Failure(error.label, str(error), again_at)
        case DatabaseError():
            return Failure(DATABASE, str(error), after(delays))
        case _:
            return Failure(FAULT, f"{type(error).__name__}: {error}", after(fault_delays))


def _again_at(
    error: APIError,
    now: datetime.datetime,
    least: datetime.timedelta,
    delayed: datetime.datetime | None,
) -> datetime.datetime | None:
    """Returns when to call again; None if a retry is useless until an operator acts."""
    match error:
        case DailyQuotaReached():
            today = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
            return today + datetime.timedelta(days=1) + _AFTER_MIDNIGHT
        case RateLimitReached():
            return now + datetime.timedelta(minutes=1)
        case TokenPaused(until=until) if until is not None and delayed is not None:
            return max(until, now + least)
        case TokenRejected():
            # Another program may fetch tokens for the account and make ours invalid; it may stop.
            return delayed
        case _:
            return delayed if error.is_temporary else None

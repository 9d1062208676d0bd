"""The one function that every job of the site goes through."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from django.db import OperationalError
from django.utils import timezone

from events.jobs.run import GaveUp, claimed, run_job, serve
from events.models import LiveMenu, SharedAccessToken
from events.models.job import LeaseLost
from events.platform.tokens import TokenPaused
from events.testing import make_account
from events.wechat.api import DailyQuotaReached, RateLimitReached, SystemBusy, TokenRejected

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 5, 1, 13, 30, tzinfo=datetime.UTC)
DELAYS = (datetime.timedelta(seconds=10), datetime.timedelta(seconds=20))
LEASE = datetime.timedelta(seconds=60)


@pytest.fixture
def jobs():
    for number in range(3):
        account = make_account(f"shop{number}")
        LiveMenu.objects.create(
            account=account, due_at=timezone.now() - datetime.timedelta(minutes=number)
        )
    return LiveMenu.objects.all()


def raising(error):
    def work(job):
        raise error

    return work


def refused(cls):
    return cls("/cgi-bin/x", -1, cls.__name__)


def tried(jobs, error, *, attempts=1, **options):
    [job] = jobs.claim(timezone.now(), limit=1, lease=LEASE)
    job.attempts = attempts
    run_job(jobs, job, raising(error), delays=DELAYS, now=lambda: NOW, **options)
    return LiveMenu.objects.get(pk=job.pk)


def paused(until):
    return TokenPaused(SharedAccessToken(next_attempt_at=until))


AFTER_MIDNIGHT = datetime.datetime(2026, 5, 1, 16, 2, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("error", "attempts", "due_at", "failure"),
    [
        (refused(SystemBusy), 1, NOW + DELAYS[0], "busy"),
        (refused(SystemBusy), 2, NOW + DELAYS[1], "busy"),
        (refused(SystemBusy), 3, None, "busy"),
        (refused(TokenRejected), 1, NOW + DELAYS[0], "token"),
        (refused(DailyQuotaReached), 9, AFTER_MIDNIGHT, "daily_quota"),
        (refused(RateLimitReached), 9, NOW + datetime.timedelta(minutes=1), "rate_limit"),
        (paused(AFTER_MIDNIGHT), 2, AFTER_MIDNIGHT, "token_paused"),
        (paused(NOW), 2, NOW + DELAYS[0], "token_paused"),
        (paused(AFTER_MIDNIGHT), 3, None, "token_paused"),
        (OperationalError("database is locked"), 1, NOW + DELAYS[0], "database"),
        (OperationalError("database is locked"), 3, None, "database"),
        (GaveUp("endless_list"), 1, None, "endless_list"),
        (RuntimeError("oops"), 1, None, "fault"),
    ],
)
def test_what_the_work_raises_decides_when_it_is_tried_again(
    jobs, error, attempts, due_at, failure
):
    job = tried(jobs, error, attempts=attempts)
    assert (job.due_at, job.failure, job.failed_at) == (due_at, failure, NOW)
    assert (job.lease, job.leased_until) == ("", None)


def test_a_fault_may_have_delays_of_its_own(jobs):
    assert tried(jobs, RuntimeError(), fault_delays=DELAYS).due_at == NOW + DELAYS[0]


def test_a_job_that_another_worker_took_over_is_left_alone(jobs):
    before = jobs.order_by("due_at").first()
    after = tried(jobs, LeaseLost())
    assert (after.due_at, after.failure) == (before.due_at, "")
    assert after.lease


def test_a_slow_worker_notes_nothing(jobs):
    [slow] = jobs.claim(timezone.now(), limit=1, lease=datetime.timedelta(0))
    [other] = jobs.filter(pk=slow.pk).claim(timezone.now(), limit=1, lease=LEASE)
    run_job(jobs, slow, raising(RuntimeError("late")))
    assert LiveMenu.objects.get(pk=slow.pk).lease == other.lease


def test_what_is_noted_can_be_amended(jobs):
    job = tried(jobs, RuntimeError(), amend=lambda job, error, f: replace(f, again_at=NOW))
    assert (job.due_at, job.failure) == (NOW, "fault")


def test_no_binding_code_gets_into_what_is_noted(jobs, caplog):
    secret = f"bind-{'x' * 32}"
    job = tried(jobs, SystemBusy("/cgi-bin/x", -1, secret))
    assert secret not in job.failure_text + caplog.text


def test_jobs_are_claimed_one_at_a_time_the_longest_waiting_first(jobs):
    order = []
    for job in claimed(jobs, lease=LEASE):
        assert jobs.exclude(lease="").count() == 1
        order.append(job.account.slug)
        jobs.finish(job)
    assert order == ["shop2", "shop1", "shop0"]


def test_one_that_fails_keeps_the_others_from_nothing(jobs):
    assert serve(jobs, raising(RuntimeError("oops"))) == 3
    assert serve(jobs, raising(RuntimeError("oops"))) == 0


def test_with_no_time_one_is_claimed(jobs):
    assert len(list(claimed(jobs, lease=LEASE, seconds=0))) == 1

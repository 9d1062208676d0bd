"""Requests erasures, for people who ask and people whom WeChat reports, and carries them out."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from events.delays import ERASURE, lasting
from events.jobs.run import Failure, claimed, run_job
from events.log.registry import projection
from events.models import EventLog, OfficialAccount
from subscribers.models import Erasure, Subscriber
from subscribers.models.erasure import digest_of
from subscribers.personal_data.erase import erase
from subscribers.personal_data.pseudonyms import new_pseudonym

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "erase_due",
    "erase_when_authorization_ends",
    "request_erasure",
    "request_for_unfollowed",
]

# Rewriting all archives takes less than this.
_LEASE = datetime.timedelta(hours=1)
# The most requests that one run makes; the next run makes the others.
_AT_ONCE = 500
_REASONS = {
    "event.user_authorization_revoke": Erasure.Reason.REVOKED,
    "event.user_authorization_cancellation": Erasure.Reason.CANCELLED,
}


def request_erasure(
    account: OfficialAccount,
    openid: str,
    *,
    reason: Erasure.Reason,
    by: User | None = None,
    now: datetime.datetime | None = None,
) -> Erasure:
    """Requests a person's erasure, which the worker carries out; returns the open request."""
    now = now or timezone.now()
    digest = digest_of(account.pk, openid)
    try:
        with transaction.atomic():
            return Erasure.objects.create(
                account=account,
                openid=openid,
                openid_digest=digest,
                pseudonym=new_pseudonym(account.pk, openid),
                reason=reason,
                requested_at=now,
                requested_by=by,
                due_at=now,
            )
    except IntegrityError:
        present = Erasure.objects.open().filter(account=account, openid_digest=digest).first()
        # If there is no row, that request has just been carried out.
        return present or request_erasure(account, openid, reason=reason, by=by, now=now)


@projection(*_REASONS)
def erase_when_authorization_ends(event: EventLog) -> None:
    """Requests an erasure if a person withdrew the authorization or closed the WeChat account.

    WeChat's terms and the Personal Information Protection Law (个人信息保护法) then require it.
    The event names the person in OpenID, not in FromUserName.
    """
    if event.openid:
        request_erasure(event.account, event.openid, reason=_REASONS[event.kind])


def request_for_unfollowed(now: datetime.datetime | None = None) -> int:
    """Requests erasure of people who left ERASE_UNFOLLOWED_DAYS ago; returns how many."""
    days = settings.ERASE_UNFOLLOWED_DAYS
    if days is None:
        return 0
    now = now or timezone.now()
    gone = Subscriber.objects.filter(
        is_following=False,
        erased_at=None,
        last_unfollowed_at__lt=now - datetime.timedelta(days=days),
    ).select_related("account")
    asked = 0
    for subscriber in gone.order_by("pk")[:_AT_ONCE]:
        request_erasure(
            subscriber.account, subscriber.openid, reason=Erasure.Reason.UNFOLLOWED, now=now
        )
        asked += 1
    return asked


def erase_due() -> int:
    """Carries out the erasures that are due, for the worker; returns how many.

    An erasure that fails keeps its reason and is always tried again, because the person asked.
    """
    rows = Erasure.objects.open()
    failures = [
        run_job(rows, erasure, erase, amend=_try_again) for erasure in claimed(rows, lease=_LEASE)
    ]
    return failures.count(None)


def _try_again(erasure: Erasure, error: Exception, failure: Failure) -> Failure:
    return replace(
        failure,
        reason=type(error).__name__,
        text=str(error),
        again_at=timezone.now() + lasting(ERASURE, erasure.attempts),
    )

"""Who is to be erased: people who ask for it, and people whom WeChat tells us to forget."""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from events.log.registry import projection
from events.models import EventLog, OfficialAccount
from events.retention.archive import ArchiveError
from subscribers.models import Erasure, Subscriber
from subscribers.personal_data.erase import ArchivesBusy, erase
from subscribers.personal_data.pseudonyms import digest_of, new_pseudonym

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "erase_due",
    "erase_when_authorization_ends",
    "request_erasure",
    "request_for_unfollowed",
]

logger = logging.getLogger(__name__)

_TRY_AGAIN_AFTER = datetime.timedelta(minutes=10)
# People a run makes requests for at the most; the next run goes on.
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
    """Asks for a person's erasure, which the worker carries out; returns the open request."""
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
        return Erasure.objects.open().get(account=account, openid_digest=digest)


@projection(*_REASONS)
def erase_when_authorization_ends(event: EventLog) -> None:
    """WeChat says that a person withdrew the authorization or closed the account.

    WeChat's terms and the Personal Information Protection Law (个人信息保护法) then ask for
    erasure; the event names the person in OpenID, not in FromUserName.
    """
    if event.openid:
        request_erasure(event.account, event.openid, reason=_REASONS[event.kind])


def request_for_unfollowed(now: datetime.datetime | None = None) -> int:
    """Asks for the erasure of those who left ERASE_UNFOLLOWED_DAYS ago; returns how many."""
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


def erase_due(now: datetime.datetime | None = None) -> int:
    """Carries out the erasures that are due, for the worker; returns how many.

    One that cannot be carried out now says why, and is tried again a little later.
    """
    now = now or timezone.now()
    done = 0
    for erasure in Erasure.objects.open().due(now).select_related("account").order_by("due_at"):
        try:
            erase(erasure)
        except (ArchivesBusy, ArchiveError, DatabaseError) as error:
            logger.warning("Erasure %s is tried again later: %s", erasure.pseudonym, error)
            Erasure.objects.filter(pk=erasure.pk).update(
                due_at=now + _TRY_AGAIN_AFTER,
                failure=type(error).__name__,
                failure_text=str(error),
                failed_at=now,
            )
        else:
            done += 1
    return done

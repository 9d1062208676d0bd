"""The browser's side of a sign-in by scanning: it makes a request, polls it, and signs in once."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from events.models import OfficialAccount
from subscribers.binding.asking import LIFETIME
from subscribers.binding.codes import columns_of_fresh_code
from subscribers.binding.standing import Progress
from subscribers.models import Binding, Refusal, SignInRequest
from subscribers.models.one_time_code import Way

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "MOST_SCANS_AN_HOUR",
    "end_expired_sign_ins",
    "own_request",
    "progress_of_request",
    "progress_of_sign_in",
    "start_sign_in",
    "take",
    "withdraw",
    "words_of_sign_ins",
]

# For one account. Otherwise strangers could use up its 100,000 calls to WeChat a day. Beyond the
# limit, browsers get codes to send, which cost no call.
MOST_SCANS_AN_HOUR = 1000
_LATE = datetime.timedelta(minutes=1)
_KEPT = datetime.timedelta(days=1)
_OF_PROGRESS = [
    *("refused_reason", "used_at", "expires_at", "allowed_at", "asked_at", "due_at", "failure")
]


def start_sign_in(
    *, account: OfficialAccount, site: str, way: Way = Way.SCAN
) -> tuple[SignInRequest, str]:
    """Makes a request with a fresh code; returns it with the secret for the browser's session."""
    now = timezone.now()
    key = secrets.token_urlsafe(32)
    if way is Way.SCAN and (not account.app_secret or _too_many(account, now)):
        way = Way.CODE
    while True:
        try:
            with transaction.atomic():
                return SignInRequest.objects.create(
                    account=account,
                    site=site[:255],
                    browser=_digest(key),
                    way=way,
                    created_at=now,
                    expires_at=now + LIFETIME,
                    **columns_of_fresh_code(is_sent=way is Way.CODE),
                ), key
        except IntegrityError:
            # The code was given out before: the next round takes another.
            continue


def _too_many(account: OfficialAccount, now: datetime.datetime) -> bool:
    lately = SignInRequest.objects.filter(
        account=account, created_at__gt=now - datetime.timedelta(hours=1)
    )
    return lately.filter(way=Way.SCAN).count() >= MOST_SCANS_AN_HOUR


def own_request(request_id: int, key: str) -> SignInRequest | None:
    """The request, if the browser with this secret made it; else None."""
    return SignInRequest.objects.filter(pk=request_id, browser=_digest(key)).first()


def withdraw(request_id: int, key: str) -> None:
    """Ends this browser's open request, because the browser makes a new one."""
    mine = SignInRequest.objects.filter(pk=request_id, browser=_digest(key))
    mine.end(refused_reason=Refusal.WITHDRAWN)


def take(request_id: int, key: str) -> User | None:
    """The user of this browser's allowed sign-in, only once; None if there is none.

    The user must still be active, and bound to the follower who allowed it.
    """
    now = timezone.now()
    mine = SignInRequest.objects.filter(pk=request_id, browser=_digest(key))
    with transaction.atomic():
        allowed = mine.open().filter(allowed_at__isnull=False, expires_at__gt=now)
        if not allowed.update(used_at=now):
            return None
        request = mine.select_related("user").get()
        user = request.user
        is_bound = Binding.objects.active().filter(subscriber=request.asked_id, user=user).exists()
    return user if user is not None and user.is_active and is_bound else None


def progress_of_sign_in(request_id: int) -> Progress:
    """How far one request is: one query by primary key that decrypts nothing."""
    return words_of_sign_ins([request_id]).get(request_id, Progress.NONE)


def words_of_sign_ins(ids: Collection[int], *, but_ready: bool = False) -> dict[int, Progress]:
    """How far these requests are, by id: one query that decrypts nothing.

    `but_ready` leaves out requests that are READY.
    """
    rows = SignInRequest.objects.filter(pk__in=ids).only(*_OF_PROGRESS)
    if but_ready:
        rows = rows.but_ready()
    return {row.pk: progress_of_request(row) for row in rows}


def progress_of_request(request: SignInRequest) -> Progress:
    """How far a request is, from its row."""
    if request.refused_reason and request.refused_reason != Refusal.EXPIRED:
        return Progress.REFUSED
    if request.used_at is not None:
        return Progress.NONE
    if request.refused_reason or request.is_over:
        return Progress.EXPIRED
    if request.allowed_at is not None:
        return Progress.ALLOWED
    if request.asked_at is not None:
        return Progress.SCANNED
    if request.due_at is None:
        return Progress.FAILED if request.failure else Progress.READY
    return Progress.WAITING


def end_expired_sign_ins(*, now: datetime.datetime | None = None) -> int:
    """Ends expired requests, returns how many; deletes old ones that nobody scanned."""
    now = now or timezone.now()
    SignInRequest.objects.filter(asked_at=None, created_at__lt=now - _KEPT).delete()
    return SignInRequest.objects.filter(expires_at__lt=now - _LATE).end(
        refused_reason=Refusal.EXPIRED
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

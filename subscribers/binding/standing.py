"""How far a user's binding under an account is: bound, requested, or neither."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils import timezone

from events.models import OfficialAccount
from subscribers.models import Binding, BindingRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "MOST_AN_HOUR",
    "ON_THE_WAY",
    "Progress",
    "Standing",
    "has_asked_too_often",
    "progress_of",
    "standing",
    "words_of_requests",
]

# Each code costs a call to WeChat, and an account has 100,000 calls a day.
MOST_AN_HOUR = 20


class Progress(TextChoices):
    """How far a request is, in one word. Before READY there is no code to scan."""

    NONE = "none"
    WAITING = "waiting"
    FAILED = "failed"
    READY = "ready"
    SCANNED = "scanned"
    ALLOWED = "allowed"
    BOUND = "bound"
    EXPIRED = "expired"
    REFUSED = "refused"


# While a request is in one of these, its page waits for a change.
ON_THE_WAY = frozenset({Progress.WAITING, Progress.READY, Progress.SCANNED, Progress.ALLOWED})


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's binding under an account, and their newest request."""

    binding: Binding | None
    request: BindingRequest | None

    @property
    def progress(self) -> Progress:
        return Progress.NONE if self.request is None else _progress(self.request)


def standing(user: User, account: OfficialAccount) -> Standing:
    """The user's active binding under this account, and their newest request."""
    mine = {"user": user, "account": account}
    return Standing(
        Binding.objects.active().filter(**mine).select_related("subscriber").first(),
        BindingRequest.objects.filter(**mine).order_by("-pk").first(),
    )


def progress_of(request_id: int) -> Progress:
    """How far one request is: one query by primary key that decrypts nothing."""
    return words_of_requests([request_id]).get(request_id, Progress.NONE)


def words_of_requests(ids: Collection[int], *, but_ready: bool = False) -> dict[int, Progress]:
    """How far these requests are, by id: one query that decrypts nothing.

    `but_ready` leaves out requests that are READY, as most requests are that pages wait for.
    """
    columns = ("completed_at", "refused_reason", "expires_at", "asked_at", "due_at", "failure")
    rows = BindingRequest.objects.filter(pk__in=ids).only(*columns)
    if but_ready:
        rows = rows.but_ready()
    return {row.pk: _progress(row) for row in rows}


def _progress(request: BindingRequest) -> Progress:
    if request.state != BindingRequest.State.WAITING:
        return Progress(request.state.value)
    if request.due_at is None:
        return Progress.FAILED if request.failure else Progress.READY
    return Progress.WAITING


def has_asked_too_often(user: User) -> bool:
    """Whether the user made MOST_AN_HOUR requests in the last hour."""
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    made = BindingRequest.objects.filter(user=user, created_at__gt=hour_ago)
    return made.count() >= MOST_AN_HOUR

"""Binds a follower's WeChat to a user of this site, from the code to the end.

The code's scene is the only proof, so it is unguessable, works once, lives for ten minutes and only
its own user sees it. The first scan decides a request, whatever its outcome. Unique constraints
keep one binding for each follower and each user, so races end with one winner.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from events.binding_scenes import is_binding_scene
from events.models import EventLog, OfficialAccount
from subscribers.binding.asking import LIFETIME, answer_in, ask, asked_request
from subscribers.binding.codes import (
    code_in,
    columns_of_fresh_code,
    digest_of,
    text_of,
    tried_too_often,
)
from subscribers.models import Binding, BindingRequest, BindingScan, Refusal, Subscriber
from subscribers.models.one_time_code import Way

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "LIFETIME",
    "complete_binding",
    "end_expired_requests",
    "ends_request",
    "is_unbind_request",
    "note_new_user_name",
    "start_binding",
    "unbind",
    "unbind_by_follower",
]

# A scan made in time may reach us late: WeChat tries for about fifteen seconds.
_LATE = datetime.timedelta(minutes=1)
_UNBIND_WORDS = frozenset({"解绑", "解除绑定", "unbind"})


def start_binding(
    *,
    account: OfficialAccount,
    user: User,
    now: datetime.datetime | None = None,
    way: Way = Way.SCAN,
) -> BindingRequest:
    """Makes a request with a fresh code for this user, and withdraws a former open one.

    The returned row still holds the scene in the clear, for its owner. With the way CODE the
    follower sends the code in the chat, and WeChat makes no picture.
    """
    now = now or timezone.now()
    while True:
        try:
            with transaction.atomic():
                BindingRequest.objects.filter(account=account, user=user).end(
                    refused_reason=Refusal.WITHDRAWN
                )
                return BindingRequest.objects.create(
                    account=account,
                    user=user,
                    way=way,
                    created_at=now,
                    expires_at=now + LIFETIME,
                    **columns_of_fresh_code(is_sent=way is Way.CODE),
                )
        except IntegrityError:
            # Either another request of this user was made between the two statements, or the
            # code was given out before. The next round withdraws that request, or takes a new code.
            continue


def complete_binding(event: EventLog) -> BindingScan | None:
    """Decides what a follow, scan or text does to a binding; None if it has no binding code.

    Runs as a projection, after the follower's row was folded. That row is locked by then, so the
    scans of one follower are decided one after another. Each outcome is stored as a BindingScan,
    which the reply reads.
    """
    code = code_in(event) if event.kind == "text" else ""
    agrees = answer_in(event)
    if not code and agrees is None and not is_binding_scene(event.scene):
        return None
    subscriber = Subscriber.objects.get(account=event.account_id, openid=event.openid)
    request = binding = None
    refusal: Refusal | None = Refusal.TOO_MANY
    if agrees is not None:
        request = asked_request(subscriber, event)
        if request is None:
            return None
        binding, refusal = _answered(request, subscriber, event, agrees=agrees)
    elif not code or not tried_too_often(subscriber, event):
        request = (
            BindingRequest.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(**digest_of(code, event.scene))
            .first()
        )
        binding, refusal = _decide(request, subscriber, event)
    if request is not None:
        this = BindingRequest.objects.filter(pk=request.pk)
        if binding is not None:
            this.end(completed_at=event.received_at, binding=binding)
        elif refusal is not None and ends_request(refusal, is_sent=bool(code)):
            this.end(refused_reason=refusal)
    return BindingScan.objects.create(
        account_id=event.account_id,
        subscriber=subscriber,
        request=request,
        event_id=event.pk,
        event_time=event.event_time,
        outcome=_outcome(binding, refusal, event),
        refused_reason=refusal or "",
    )


def ends_request(refusal: Refusal, *, is_sent: bool) -> bool:
    """Whether a refused scan or sent code ends its request; the same holds for a sign-in.

    The second use of a code does not: it must not end the request of the follower who was asked.
    Nor does a scan under another account, which shows the scene to nobody. A code that was sent
    there does, because others can read it in that account's log.
    """
    return refusal is not Refusal.USED and (is_sent or refusal is not Refusal.WRONG_ACCOUNT)


def _outcome(
    binding: Binding | None, refusal: Refusal | None, event: EventLog
) -> BindingScan.Outcome:
    if refusal is not None:
        return BindingScan.Outcome.REFUSED
    if binding is None:
        return BindingScan.Outcome.ASKED
    is_new = binding.event_id == event.pk
    return BindingScan.Outcome.BOUND if is_new else BindingScan.Outcome.ALREADY_BOUND


def _decide(
    request: BindingRequest | None, subscriber: Subscriber, event: EventLog
) -> tuple[Binding | None, Refusal | None]:
    """Returns the binding, or why there is none; (None, None) if the follower is asked first."""
    if request is None:
        return None, Refusal.UNKNOWN
    if request.account_id != event.account_id:
        return None, Refusal.WRONG_ACCOUNT
    if request.completed_at is not None:
        done = request.binding
        if done is not None and done.is_active and done.subscriber_id == subscriber.pk:
            return done, None
        return None, Refusal.USED
    if request.refused_reason:
        ended = Refusal(request.refused_reason)
        return None, ended if ended in {Refusal.EXPIRED, Refusal.WITHDRAWN} else Refusal.USED
    if event.event_time > request.expires_at or event.received_at > request.expires_at + _LATE:
        return None, Refusal.EXPIRED
    if request.asked_id not in {None, subscriber.pk}:
        return None, Refusal.USED
    if not request.user.is_active:
        return None, Refusal.USER_INACTIVE
    if not OfficialAccount.objects.filter(pk=event.account_id, ask_before_binding=True).exists():
        return _bind(request, subscriber, event)
    binding, refusal = _in_force(request, subscriber)
    if binding is None and refusal is None:
        ask(request, subscriber, event)
    return binding, refusal


def _answered(
    request: BindingRequest, subscriber: Subscriber, event: EventLog, *, agrees: bool
) -> tuple[Binding | None, Refusal | None]:
    """Returns the binding after the follower's yes or no, or why there is none."""
    if request.refused_reason:
        return None, Refusal(request.refused_reason)
    if event.event_time > request.expires_at:
        return None, Refusal.EXPIRED
    if not agrees:
        return None, Refusal.DECLINED
    if not request.user.is_active:
        return None, Refusal.USER_INACTIVE
    return _bind(request, subscriber, event)


def _bind(
    request: BindingRequest, subscriber: Subscriber, event: EventLog
) -> tuple[Binding | None, Refusal | None]:
    try:
        with transaction.atomic():
            return Binding.objects.create(
                account_id=event.account_id,
                subscriber=subscriber,
                user=request.user,
                bound_at=event.event_time,
                event_id=event.pk,
                event_time=event.event_time,
            ), None
    except IntegrityError:
        # A unique constraint says that the follower or the user is bound already.
        binding, refusal = _in_force(request, subscriber)
        if binding is None and refusal is None:
            # The binding that was in the way has ended since.
            refusal = Refusal.USER_BOUND
        return binding, refusal


def _in_force(
    request: BindingRequest, subscriber: Subscriber
) -> tuple[Binding | None, Refusal | None]:
    """The binding of these two, or why they cannot be bound; (None, None) if both are free."""
    active = Binding.objects.active()
    of_follower = active.filter(subscriber=subscriber).first()
    if of_follower is not None:
        if of_follower.user_id == request.user_id:
            return of_follower, None
        return None, Refusal.FOLLOWER_BOUND
    if active.filter(account=request.account_id, user=request.user_id).exists():
        return None, Refusal.USER_BOUND
    return None, None


def unbind(binding: Binding) -> bool:
    """Ends a binding; False if it had ended before."""
    with transaction.atomic():
        # Locks the follower first: a fold locks in the same order.
        Subscriber.objects.filter(pk=binding.subscriber_id).touch()
        this = Binding.objects.active().filter(pk=binding.pk)
        return bool(this.update(unbound_at=timezone.now()))


def note_new_user_name(
    instance: User, update_fields: Collection[str] | None = None, **_signal: Any
) -> None:
    """Marks the user's followers as changed, because the API shows the user's name with them."""
    if update_fields is None or "username" in update_fields:
        bound = Binding.objects.active().filter(user=instance.pk).values("subscriber")
        Subscriber.objects.filter(pk__in=bound).touch()


def is_unbind_request(event: EventLog) -> bool:
    """Whether this text message asks to end the sender's binding."""
    return event.kind == "text" and text_of(event).strip().casefold() in _UNBIND_WORDS


def unbind_by_follower(event: EventLog) -> None:
    """Ends the binding of a follower who asks for it in a message.

    A message older than the binding does not end it, even if it arrives later.
    """
    if is_unbind_request(event):
        Binding.objects.active().filter(
            subscriber__account=event.account_id,
            subscriber__openid=event.openid,
            bound_at__lte=event.event_time,
        ).update(unbound_at=event.event_time)


def end_expired_requests(*, now: datetime.datetime | None = None) -> int:
    """Ends requests that nobody scanned in time and wipes their codes; returns how many."""
    now = now or timezone.now()
    return BindingRequest.objects.filter(expires_at__lt=now - _LATE).end(
        refused_reason=Refusal.EXPIRED
    )

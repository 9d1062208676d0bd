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

from events.binding_scenes import is_binding_scene, new_binding_scene
from events.models import EventLog, OfficialAccount
from subscribers.binding.codes import code_in, digest_of_code, new_code, tried_too_often
from subscribers.models import Binding, BindingRequest, BindingScan, Refusal, Subscriber

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "LIFETIME",
    "complete_binding",
    "end_expired_requests",
    "is_unbind_request",
    "note_new_user_name",
    "start_binding",
    "unbind",
    "unbind_by_follower",
]

LIFETIME = datetime.timedelta(minutes=10)
# A scan made in time may reach us late: WeChat tries for about fifteen seconds.
_LATE = datetime.timedelta(minutes=1)
_UNBIND_WORDS = frozenset({"解绑", "解除绑定", "unbind"})


def start_binding(
    *,
    account: OfficialAccount,
    user: User,
    now: datetime.datetime | None = None,
    way: BindingRequest.Way = BindingRequest.Way.SCAN,
) -> BindingRequest:
    """Makes a request with a fresh code for this user, and withdraws a former open one.

    The returned row still holds the scene in the clear, for its owner. By way of CODE there is a
    code to send in the chat, and WeChat is asked for no picture.
    """
    now = now or timezone.now()
    scene = new_binding_scene()
    while True:
        columns: dict[str, object] = {"scene": scene}
        if way is BindingRequest.Way.CODE:
            code = new_code()
            columns = {"code": code, "code_digest": digest_of_code(code), "due_at": None}
        try:
            with transaction.atomic():
                BindingRequest.objects.filter(account=account, user=user).end(
                    refused_reason=Refusal.WITHDRAWN
                )
                return BindingRequest.objects.create(
                    account=account,
                    user=user,
                    way=way,
                    scene_digest=BindingRequest.digest_of(scene),
                    created_at=now,
                    expires_at=now + LIFETIME,
                    **columns,
                )
        except IntegrityError:
            # Another request of this user was made between the two statements: withdraw that too.
            # Or the code was given out before: take another.
            continue


def complete_binding(event: EventLog) -> BindingScan | None:
    """Takes a follow, scan or text to its binding outcome; None when it has no binding code.

    Runs as a projection, after the follower's row was folded: that row is locked by then, which
    puts the scans of one follower in a row. Each outcome is kept as a BindingScan, which the reply
    reads.
    """
    code = code_in(event) if event.kind == "text" else ""
    if not code and not is_binding_scene(event.scene):
        return None
    subscriber = Subscriber.objects.get(account=event.account_id, openid=event.openid)
    request = binding = None
    refusal: Refusal | None = Refusal.TOO_MANY
    if not code or not tried_too_often(subscriber, event):
        digest = (
            {"code_digest": digest_of_code(code)}
            if code
            else {"scene_digest": BindingRequest.digest_of(event.scene)}
        )
        request = (
            BindingRequest.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(**digest)
            .first()
        )
        binding, refusal = _decide(request, subscriber, event)
    if request is not None:
        this = BindingRequest.objects.filter(pk=request.pk)
        if binding is not None:
            this.end(completed_at=event.received_at, binding=binding)
        elif refusal is not Refusal.WRONG_ACCOUNT or code:
            # A code that was sent stands in that account's log, where others read it.
            this.end(refused_reason=refusal)
    if refusal:
        outcome = BindingScan.Outcome.REFUSED
    elif binding is not None and binding.event_id == event.pk:
        outcome = BindingScan.Outcome.BOUND
    else:
        outcome = BindingScan.Outcome.ALREADY_BOUND
    return BindingScan.objects.create(
        account_id=event.account_id,
        subscriber=subscriber,
        request=request,
        event_id=event.pk,
        event_time=event.event_time,
        outcome=outcome,
        refused_reason=refusal or "",
    )


def _decide(
    request: BindingRequest | None, subscriber: Subscriber, event: EventLog
) -> tuple[Binding | None, Refusal | None]:
    """The binding this scan leads to, or why there is none."""
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
        of_follower = Binding.objects.active().filter(subscriber=subscriber).first()
        if of_follower is None:
            return None, Refusal.USER_BOUND
        if of_follower.user_id == request.user_id:
            return of_follower, None
        return None, Refusal.FOLLOWER_BOUND


def unbind(binding: Binding, *, now: datetime.datetime | None = None) -> bool:
    """Ends a binding; False if it had ended before."""
    now = now or timezone.now()
    with transaction.atomic():
        # The follower first, as a fold locks them in this order.
        Subscriber.objects.filter(pk=binding.subscriber_id).touch()
        return bool(Binding.objects.active().filter(pk=binding.pk).update(unbound_at=now))


def note_new_user_name(
    instance: User, update_fields: Collection[str] | None = None, **_signal: Any
) -> None:
    """Says that what readers see of a user's follower changed: his name is shown."""
    if update_fields is None or "username" in update_fields:
        bound = Binding.objects.active().filter(user=instance.pk).values("subscriber")
        Subscriber.objects.filter(pk__in=bound).touch()


def is_unbind_request(event: EventLog) -> bool:
    """Whether this text message asks to end the sender's binding."""
    content = (event.payload or {}).get("Content", "")
    return isinstance(content, str) and content.strip().casefold() in _UNBIND_WORDS


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
    """Ends the requests without a scan in time and wipes their codes; returns how many."""
    now = now or timezone.now()
    return BindingRequest.objects.filter(expires_at__lt=now - _LATE).end(
        refused_reason=Refusal.EXPIRED
    )

"""Decides sign-ins by scanning from what the follower does in WeChat: a scan or code, then a yes.

An attacker may lure somebody into scanning a code. So nothing is allowed before the follower has
read the names of site and user, and has agreed. A scan spends the code: the request waits for this
follower alone, and only the browser that made the request can go on with it.
"""

from __future__ import annotations

import datetime
import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from events.binding_scenes import is_binding_scene
from events.models import EventLog
from subscribers.binding.asking import (
    LIFETIME,
    answer_in,
    answer_to_sign_in,
    asked_request,
    sign_in_tapped,
)
from subscribers.binding.bind import ends_request
from subscribers.binding.codes import code_in, digest_of, tried_too_often
from subscribers.models import (
    Binding,
    BindingScan,
    Refusal,
    SignInRequest,
    Subscriber,
)

__all__ = ["decide_sign_in"]

# A scan made in time may reach us late: WeChat tries for about fifteen seconds.
_LATE = datetime.timedelta(minutes=1)
# Time for the browser to sign in once the follower agreed: its page is open and takes seconds.
_TIME_TO_SIGN_IN = datetime.timedelta(minutes=2)


def decide_sign_in(event: EventLog) -> BindingScan | None:
    """Decides what a scan, code or answer does to a sign-in; None if it is not about one.

    Runs as a projection, after the follower's row was folded and locked. Each outcome is stored as
    a BindingScan, which the reply reads.
    """
    if not settings.SCAN_SIGN_IN:
        return None
    code = code_in(event)
    agrees = answer_to_sign_in(event)
    if not code and agrees is None and not is_binding_scene(event.scene):
        return None
    subscriber = Subscriber.objects.get(account=event.account_id, openid=event.openid)
    if agrees is not None:
        request = _asked(subscriber, event)
        if request is None:
            return None
        refusal = _answered(request, subscriber, event, agrees=agrees)
        outcome = BindingScan.Outcome.SIGN_IN_ALLOWED
    else:
        request = _request_with_code(event, code)
        if request is None:
            return None
        if code and tried_too_often(subscriber, event):
            # The request stays open: the code is right, and may belong to somebody else.
            return _store_scan(event, subscriber, request, refusal=Refusal.TOO_MANY)
        refusal = _scanned(request, subscriber, event)
        outcome = BindingScan.Outcome.SIGN_IN_ASKED
    if refusal is not None and ends_request(refusal, is_sent=bool(code)):
        SignInRequest.objects.filter(pk=request.pk).end(refused_reason=refusal)
    return _store_scan(event, subscriber, request, outcome=outcome, refusal=refusal)


def _store_scan(
    event: EventLog,
    subscriber: Subscriber,
    request: SignInRequest,
    *,
    outcome: BindingScan.Outcome = BindingScan.Outcome.REFUSED,
    refusal: Refusal | None,
) -> BindingScan:
    return BindingScan.objects.create(
        account_id=event.account_id,
        subscriber=subscriber,
        sign_in=request,
        event_id=event.pk,
        event_time=event.event_time,
        outcome=BindingScan.Outcome.REFUSED if refusal else outcome,
        refused_reason=refusal or "",
    )


def _request_with_code(event: EventLog, code: str) -> SignInRequest | None:
    """The request whose code this is, locked."""
    requests = SignInRequest.objects.select_for_update(of=("self",))
    return requests.filter(**digest_of(code, event.scene)).first()


def _asked(subscriber: Subscriber, event: EventLog) -> SignInRequest | None:
    """The request that this message may answer, locked; None if the follower was asked nothing.

    A message older than the question answers nothing. A tap names its question. A word that also
    answers a newer question about a binding answers only that one.
    """
    tapped = sign_in_tapped(event)
    questions = SignInRequest.objects.filter(
        asked=subscriber,
        asked_at__lte=event.event_time,
        asked_at__gt=event.event_time - LIFETIME,
        allowed_at=None,
    ).exclude(refused_reason=Refusal.DECLINED)
    if tapped is not None:
        questions = questions.filter(pk=tapped)
    request = (
        questions.select_for_update(of=("self",))
        .select_related("user")
        .order_by("-asked_at", "-pk")
        .first()
    )
    if request is not None and tapped is None and answer_in(event) is not None:
        other = asked_request(subscriber, event)
        if other is not None and (other.asked_at or event.event_time) > (
            request.asked_at or event.event_time
        ):
            return None
    return request


def _scanned(request: SignInRequest, subscriber: Subscriber, event: EventLog) -> Refusal | None:
    """Asks the follower; or returns why there is nothing to ask."""
    if request.account_id != event.account_id:
        return Refusal.WRONG_ACCOUNT
    if request.allowed_at is not None or request.used_at is not None:
        return Refusal.USED
    if request.refused_reason:
        ended = Refusal(request.refused_reason)
        return ended if ended in {Refusal.EXPIRED, Refusal.WITHDRAWN} else Refusal.USED
    if event.event_time > request.expires_at or event.received_at > request.expires_at + _LATE:
        return Refusal.EXPIRED
    if request.asked_id not in {None, subscriber.pk}:
        return Refusal.USED
    binding = _binding_of(subscriber)
    if binding is None and not settings.SCAN_REGISTRATION:
        return Refusal.NOT_BOUND
    if binding is not None and (binding.user is None or not binding.user.is_active):
        return Refusal.USER_INACTIVE
    # One question is open at a time.
    SignInRequest.objects.filter(asked=subscriber, allowed_at=None).exclude(pk=request.pk).end(
        refused_reason=Refusal.WITHDRAWN
    )
    SignInRequest.objects.filter(pk=request.pk).spend(
        asked=subscriber,
        asked_at=event.event_time,
        user=binding.user if binding else None,
        expires_at=event.received_at + LIFETIME,
    )
    return None


def _answered(
    request: SignInRequest, subscriber: Subscriber, event: EventLog, *, agrees: bool
) -> Refusal | None:
    """Allows the sign-in; or returns why not."""
    if request.refused_reason:
        return Refusal(request.refused_reason)
    if event.event_time > request.expires_at:
        return Refusal.EXPIRED
    if not agrees:
        return Refusal.DECLINED
    binding = _binding_of(subscriber)
    if binding is None and request.user is None and settings.SCAN_REGISTRATION:
        binding = _registered(subscriber, event)
    if binding is None or (request.user is not None and binding.user_id != request.user_id):
        # The binding ended, or another began, after the follower was asked.
        return Refusal.NOT_BOUND
    if binding.user is None or not binding.user.is_active:
        return Refusal.USER_INACTIVE
    SignInRequest.objects.filter(pk=request.pk).update(
        user=binding.user,
        allowed_at=event.received_at,
        expires_at=event.received_at + _TIME_TO_SIGN_IN,
    )
    return None


def _binding_of(subscriber: Subscriber) -> Binding | None:
    return Binding.objects.active().filter(subscriber=subscriber).select_related("user").first()


def _registered(subscriber: Subscriber, event: EventLog) -> Binding | None:
    """Makes a user without a password, bound to the follower; None if the follower is bound now."""
    users = get_user_model().objects
    try:
        with transaction.atomic():
            return Binding.objects.create(
                account_id=event.account_id,
                subscriber=subscriber,
                user=users.create_user(f"wechat-{secrets.token_hex(5)}"),
                bound_at=event.event_time,
                event_id=event.pk,
                event_time=event.event_time,
            )
    except IntegrityError:
        return None

"""Decides scans of codes, and texts that are a code, an answer to a question or an unbinding.

Most texts that look like a code or an answer belong to no request. A few statements find out which
do, for all events that arrive together. A text that may belong to a request is decided by itself,
in the order of arrival, and so are all other events of its sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings

from events.models import EventLog
from subscribers.binding.asking import LIFETIME
from subscribers.binding.bind import complete_binding, is_unbind_request, unbind_by_follower
from subscribers.binding.codes import code_in, digest_of, refuse_wrong_codes
from subscribers.models import BindingRequest, SignInRequest, Subscriber
from subscribers.signing_in.allow import decide_sign_in

if TYPE_CHECKING:
    from subscribers.models.one_time_code import OneTimeCodeQuerySet

__all__ = ["decide", "decide_together"]


def decide(event: EventLog) -> None:
    """Decides what a scan or a text does to a sign-in or a binding."""
    if is_unbind_request(event):
        unbind_by_follower(event)
    elif event.openid and decide_sign_in(event) is None:
        complete_binding(event)


def decide_together(events: Sequence[EventLog]) -> None:
    """Decides events that were folded together. The followers' rows must be locked."""
    if len(events) == 1:
        decide(events[0])
        return
    rows = Subscriber.objects.filter(
        account__in={event.account_id for event in events},
        openid__in={event.openid for event in events},
    )
    followers = {(row.account_id, row.openid): row for row in rows}
    sent = [
        (event, follower)
        for event in events
        if (follower := followers.get((event.account_id, event.openid))) is not None
    ]
    if not sent:
        return
    concerned = _asked(sent) | _senders_of_right_codes(sent)
    concerned |= {follower.pk for event, follower in sent if event.kind != "text"}
    for event, follower in sent:
        if follower.pk in concerned or is_unbind_request(event):
            decide(event)
    wrong = [
        (event, follower)
        for event, follower in sent
        if follower.pk not in concerned and code_in(event)
    ]
    if wrong:
        refuse_wrong_codes(wrong)


def _senders_of_right_codes(sent: Sequence[tuple[EventLog, Subscriber]]) -> set[int]:
    senders: dict[str, set[int]] = {}
    for event, follower in sent:
        if code := code_in(event):
            senders.setdefault(digest_of(code, "")["code_digest"], set()).add(follower.pk)
    found: set[int] = set()
    for requests in _requests():
        codes = requests.filter(code_digest__in=senders)
        for digest in codes.values_list("code_digest", flat=True):
            found |= senders.get(digest or "", set())
    return found


def _asked(sent: Sequence[tuple[EventLog, Subscriber]]) -> set[int]:
    """The ids of followers who may have been asked a question that is still open."""
    since = min(event.event_time for event, _ in sent) - LIFETIME
    followers = {follower.pk for _, follower in sent}
    return {
        asked
        for requests in _requests()
        for asked in requests.filter(asked__in=followers, asked_at__gt=since).values_list(
            "asked", flat=True
        )
    }


def _requests() -> list[OneTimeCodeQuerySet[BindingRequest] | OneTimeCodeQuerySet[SignInRequest]]:
    bindings = BindingRequest.objects.all()
    return [bindings, SignInRequest.objects.all()] if settings.SCAN_SIGN_IN else [bindings]

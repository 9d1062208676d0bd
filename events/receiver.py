"""Where protocol, log and processing meet: plain values in, plain values out.

Follow one push through answer_push(): open it, store and fold it, answer it. Once the row is
committed nothing can make the answer anything but 200.
"""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError

from events import metrics
from events.intake import read_event
from events.models import EventLog, OfficialAccount
from events.processing import answer, deliver, process
from events.wechat import (
    ACKNOWLEDGEMENT,
    NotAuthentic,
    Opened,
    authenticate,
    open_push,
    seal,
    verify_url,
)

__all__ = ["Answer", "answer_push", "answer_verification"]

logger = logging.getLogger(__name__)

# Longer than any clock should be off, short enough to notice one that is.
_SUSPICIOUS_AGE = datetime.timedelta(minutes=5)

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in plain values."""

    status: int
    body: str
    content_type: str = "text/plain"


_ACKNOWLEDGED = Answer(200, ACKNOWLEDGEMENT)
# The same for every reason, so that nothing can be learnt by trying.
_FORBIDDEN = Answer(403, "forbidden")
_TOO_LARGE = Answer(413, "body too large")
_TRY_AGAIN = Answer(503, "not stored, push again")


def answer_verification(callback_key: str, query: Query, *, now: datetime.datetime) -> Answer:
    """Answers WeChat's GET, sent when the server settings are saved in its console."""
    account = _active_account(callback_key)
    if account is None:
        return _refuse("unknown_account", callback_key)
    try:
        echostr = verify_url(account.credentials(now), query)
    except NotAuthentic as refusal:
        return _refuse(_reason(refusal), account.slug)
    metrics.callbacks.labels("verified").inc()
    return Answer(200, echostr)


def answer_push(callback_key: str, query: Query, body: bytes, *, now: datetime.datetime) -> Answer:
    """Answers WeChat's POST.

    A body of more than settings.CALLBACK_MAX_BODY bytes is refused; the caller need not read past
    that. Raises nothing: what could not be stored is 503, and WeChat tries again.
    """
    try:
        account = _active_account(callback_key)
        if account is None:
            return _refuse("unknown_account", callback_key)
        credentials = account.credentials(now)
        try:
            authenticate(credentials, query)
            if len(body) > settings.CALLBACK_MAX_BODY:
                logger.warning("Callback of %s: body over CALLBACK_MAX_BODY", account.slug)
                metrics.callbacks.labels("too_large").inc()
                return _TOO_LARGE
            opened = open_push(credentials, query, body)
            _check_age(opened, account, now)
        except NotAuthentic as refusal:
            return _refuse(_reason(refusal), account.slug)
        event = read_event(account, opened.body, now)
        try:
            is_new = deliver(event)
        except DatabaseError:
            # A duplicate that only could not be counted is stored all the same.
            if EventLog.objects.same_push(event).exists():
                metrics.callbacks.labels("uncounted").inc()
                return _ACKNOWLEDGED
            raise
    except Exception:
        logger.exception("A push could not be stored")
        metrics.callbacks.labels("not_stored").inc()
        return _TRY_AGAIN
    metrics.callbacks.labels("stored" if is_new else "duplicate").inc()
    try:
        return _reply(event, is_new, opened, account, now)
    except Exception:
        # The row is committed: the worker brings it to its outcome.
        logger.exception("Event %s is stored but was not answered", event.pk)
        return _ACKNOWLEDGED


def _active_account(callback_key: str) -> OfficialAccount | None:
    return OfficialAccount.objects.filter(callback_key=callback_key, is_active=True).first()


def _refuse(reason: str, account: str) -> Answer:
    logger.warning("Callback of %.64r refused: %s", account, reason)
    metrics.callbacks.labels("refused").inc()
    metrics.refusals.labels(reason).inc()
    return _FORBIDDEN


def _reason(refusal: NotAuthentic) -> str:
    return f"{type(refusal).__name__} ({refusal.code})"


def _check_age(opened: Opened, account: OfficialAccount, now: datetime.datetime) -> None:
    age = abs(int(now.timestamp()) - opened.timestamp)
    if settings.CALLBACK_MAX_AGE is not None and age > settings.CALLBACK_MAX_AGE:
        raise NotAuthentic(f"timestamp is {age} seconds away from our clock")
    if age > _SUSPICIOUS_AGE.total_seconds():
        metrics.odd_timestamps.inc()
        logger.warning("Push to %s is dated %s seconds away from our clock", account.slug, age)


def _brought_to_outcome(event: EventLog, is_new: bool) -> EventLog:
    if event.status not in {EventLog.Status.RECEIVED, EventLog.Status.FAILED}:
        return event
    if event.folded_at is not None:
        done = answer(event.pk)
    elif is_new:
        return event  # it could not be folded a moment ago: that is for the worker
    else:
        done = process(event.pk)
    # Without a claim another process is at it, or has just finished.
    return done or EventLog.objects.get(pk=event.pk)


def _reply(
    event: EventLog, is_new: bool, opened: Opened, account: OfficialAccount, now: datetime.datetime
) -> Answer:
    if not is_new:
        # The follower may have seen nothing of the first answer, so a duplicate gets the stored
        # reply; or, when the first attempt came to nothing, makes it.
        event = EventLog.objects.get(pk=event.pk)
    event = _brought_to_outcome(event, is_new)
    if not event.reply:
        return _ACKNOWLEDGED
    if opened.key is None:
        return Answer(200, event.reply, "application/xml")
    sealed = seal(
        event.reply,
        opened.key,
        app_id=account.app_id,
        timestamp=int(now.timestamp()),
        nonce=str(secrets.randbelow(10**10)),
        random=secrets.token_bytes(16),
    )
    return Answer(200, sealed, "application/xml")

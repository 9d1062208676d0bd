"""Where protocol, log and processing meet: plain values in, plain values out.

Follow one push through answer_push(): open it, store and fold it, answer it. Once the row is
committed nothing can make the answer anything but 200. Two thin doors lead here: `views` inside
Django, and `wsgi` before it.
"""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError

from events import metrics
from events.account_cache import account_with_key
from events.callback.build_event import build_event
from events.callback.group_commit import GroupCommit
from events.log.process import answer, deliver, process
from events.models import EventLog, OfficialAccount
from events.wechat import (
    ACKNOWLEDGEMENT,
    NotAuthentic,
    Opened,
    authenticate,
    open_authentic,
    parse_query,
    seal,
    verify_url,
)

__all__ = ["Answer", "answer_push", "answer_verification"]

logger = logging.getLogger(__name__)

# Longer than any clock should be off, short enough to notice one that is.
_SUSPICIOUS_AGE = datetime.timedelta(minutes=5)


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
_TRY_AGAIN = Answer(503, "try again")


def answer_verification(callback_key: str, query_string: str, *, now: datetime.datetime) -> Answer:
    """Answers WeChat's GET, sent when the server settings are saved in its console."""
    try:
        account = account_with_key(callback_key)
        if account is None:
            return _refuse("unknown_account", callback_key)
    except Exception:
        logger.exception("The accounts could not be read")
        return _TRY_AGAIN
    try:
        echostr = verify_url(account.credentials(now), parse_query(query_string))
    except NotAuthentic as refusal:
        return _refuse(_reason(refusal), account.slug)
    metrics.callbacks.labels("verified").inc()
    return Answer(200, echostr)


def answer_push(
    callback_key: str, query_string: str, body: bytes, *, now: datetime.datetime
) -> Answer:
    """Answers WeChat's POST.

    A body of more than settings.CALLBACK_MAX_BODY bytes is refused; the caller need not read past
    that. Raises nothing: what could not be stored is 503, and WeChat tries again.
    """
    try:
        account = account_with_key(callback_key)
        if account is None:
            return _refuse("unknown_account", callback_key)
        push = _Push(account, query_string, body, now)
        try:
            arrival, is_new = _writer.store(push)
        except DatabaseError:
            # A duplicate that only could not be counted is stored all the same.
            if EventLog.objects.same_push(_open(push).event).exists():
                metrics.callbacks.labels("uncounted").inc()
                return _ACKNOWLEDGED
            raise
        except NotAuthentic as refusal:
            return _refuse(_reason(refusal), account.slug)
        except _TooLarge:
            logger.warning("Callback of %s: body over CALLBACK_MAX_BODY", account.slug)
            metrics.callbacks.labels("too_large").inc()
            return _TOO_LARGE
    except Exception:
        logger.exception("A push could not be stored")
        metrics.callbacks.labels("not_stored").inc()
        return _TRY_AGAIN
    (metrics.stored if is_new else metrics.duplicate).inc()
    try:
        return _reply(arrival, is_new)
    except Exception:
        # The row is committed: the worker brings it to its outcome.
        logger.exception("Event %s is stored but was not answered", arrival.event.pk)
        return _ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class _Push:
    account: OfficialAccount
    query_string: str
    body: bytes
    now: datetime.datetime


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An authentic push as it is stored."""

    push: _Push
    opened: Opened
    event: EventLog


class _TooLarge(Exception):
    """The body is over CALLBACK_MAX_BODY."""


def _open(push: _Push) -> _Arrival:
    credentials = push.account.credentials(push.now)
    parameters = authenticate(credentials, parse_query(push.query_string))
    if len(push.body) > settings.CALLBACK_MAX_BODY:
        raise _TooLarge
    opened = open_authentic(credentials, parameters, push.body)
    _check_age(opened, push.account, push.now)
    return _Arrival(push, opened, build_event(push.account, opened.body, push.now))


def _deliver(arrivals: Sequence[_Arrival], patience: float) -> Sequence[bool]:
    return deliver([arrival.event for arrival in arrivals], patience)


_writer = GroupCommit(_open, _deliver, batch_size=settings.CALLBACK_BATCH)


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
        done = answer(event, is_awaited=True)
    elif is_new:
        return event  # it could not be folded a moment ago: that is for the worker
    else:
        done = process(event, is_awaited=True)
    # Without a claim another process is at it, or has just finished.
    return done or EventLog.objects.with_key_of(event).get()


def _reply(arrival: _Arrival, is_new: bool) -> Answer:
    event, push, key = arrival.event, arrival.push, arrival.opened.key
    if not is_new:
        # The follower may have seen nothing of the first answer, so a duplicate gets the stored
        # reply; or, when the first attempt came to nothing, makes it.
        event = EventLog.objects.with_key_of(event).get()
    event = _brought_to_outcome(event, is_new)
    if not event.reply:
        return _ACKNOWLEDGED
    if key is None:
        return Answer(200, event.reply, "application/xml")
    sealed = seal(
        event.reply,
        key,
        app_id=push.account.app_id,
        timestamp=int(push.now.timestamp()),
        nonce=str(secrets.randbelow(10**10)),
        random=secrets.token_bytes(16),
    )
    return Answer(200, sealed, "application/xml")

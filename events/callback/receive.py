"""The steps that every push takes, from the request's plain values to the answer's.

Two callers use them: `front` on an event loop, without Django, and `views` in Django's threads.
Both take the same steps. admit() checks account and signature before the body is read; open_push()
and store_pushes() make the push durable; quick_answer() or begin_reply() answer it. Once the row
is committed the answer is 200, with two exceptions that leave the push to WeChat's next try: if the
reply is still being made (events/callback/awaiting.py), and if the database broke off before it
confirmed the commit and does not answer.
"""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from events import metrics
from events.callback.build_event import build_event
from events.callback.probe import answer_to_probe
from events.callback.refusals import UNKNOWN_ACCOUNT, note_refusal
from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.wechat import (
    ACKNOWLEDGEMENT,
    Credentials,
    NotAuthentic,
    Opened,
    Parameters,
    SecurityMode,
    TooOld,
    authenticate,
    open_authentic,
    parse_query,
    seal,
    verify_url,
)

__all__ = [
    "ACKNOWLEDGED",
    "TRY_AGAIN",
    "Answer",
    "Arrival",
    "Push",
    "accounts_unreadable",
    "admit",
    "cut_short",
    "not_stored",
    "open_push",
    "quick_answer",
    "sealed",
    "store_pushes",
    "stored_all_the_same",
    "too_large",
    "too_slow",
    "verify",
]

logger = logging.getLogger(__name__)

# A correct clock never differs so much from WeChat's. A larger difference is counted and logged.
_SUSPICIOUS_AGE = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in plain values. `closes` says that the body was not read to its end."""

    status: int
    body: str
    content_type: str = "text/plain"
    closes: bool = False


ACKNOWLEDGED = Answer(200, ACKNOWLEDGEMENT)
TRY_AGAIN = Answer(503, "try again")
# One answer for every reason, so that an attacker learns nothing by trying.
_FORBIDDEN = Answer(403, "forbidden", closes=True)
_TOO_LARGE = Answer(413, "body too large", closes=True)
_CUT_SHORT = Answer(400, "the body ended early", closes=True)
_TOO_SLOW = Answer(408, "the body took too long", closes=True)


@dataclass(slots=True)
class Push:
    """A request whose account and signature are right; its body may still be on the way."""

    account: OfficialAccount
    credentials: Credentials
    parameters: Parameters
    now: datetime.datetime
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An authentic push as it is stored."""

    push: Push
    opened: Opened
    event: EventLog


def verify(
    account: OfficialAccount | None, callback_key: str, query_string: str, *, now: datetime.datetime
) -> Answer:
    """Answers WeChat's GET, sent when the server settings are saved in its console."""
    if account is None:
        return _refuse_unknown(callback_key)
    try:
        echostr = verify_url(account.credentials(now), parse_query(query_string))
    except NotAuthentic as refusal:
        return _refuse(account, refusal)
    metrics.callbacks.labels("verified").inc()
    return Answer(200, echostr)


def admit(
    account: OfficialAccount | None, callback_key: str, query_string: str, *, now: datetime.datetime
) -> Push | Answer:
    """Checks account, signature and age; returns the push without its body, or the refusal."""
    if account is None:
        return _refuse_unknown(callback_key)
    credentials = account.credentials(now)
    try:
        parameters = authenticate(credentials, parse_query(query_string))
        _check_age(int(parameters.timestamp), account, now)
    except NotAuthentic as refusal:
        return _refuse(account, refusal)
    return Push(account, credentials, parameters, now)


class _Probed(Exception):
    """open_push() raises it for the doctor's probe, which gets `answer` and is not stored."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def open_push(push: Push) -> Arrival:
    """Decrypts and reads a push. If it raises, the caller hands the exception to not_stored()."""
    opened = open_authentic(push.credentials, push.parameters, push.body)
    reply_xml = answer_to_probe(push.account, opened.body, at=int(push.now.timestamp()))
    if reply_xml is not None:
        raise _Probed(_sealed(push, opened, reply_xml))
    return Arrival(push, opened, build_event(push.account, opened.body, push.now))


def store_pushes(arrivals: Sequence[Arrival], lock_timeout: float) -> Sequence[bool]:
    """Stores pushes in one transaction; returns which are new. Raises as log.process.deliver()."""
    return deliver([arrival.event for arrival in arrivals], lock_timeout, are_heard=True)


def stored_all_the_same(push: Push) -> Arrival | None:
    """Returns the push if its row exists although storing it raised; else None. Raises nothing.

    The push is a duplicate that could not be counted, or the connection broke after the commit.
    """
    try:
        arrival = open_push(push)
        row = EventLog.objects.same_push(arrival.event).only("pk", "event_time").first()
        if row is None:
            return None
    except Exception:
        logger.exception("Could not check whether a push is stored")
        return None
    arrival.event.pk = row.pk
    metrics.callbacks.labels("uncounted").inc()
    return arrival


def not_stored(push: Push, error: Exception) -> Answer:
    """Returns the answer to a push for which open_push() or store_pushes() raised `error`."""
    if isinstance(error, _Probed):
        metrics.callbacks.labels("probed").inc()
        return error.answer
    if isinstance(error, NotAuthentic):
        return _refuse(push.account, error)
    logger.error("A push could not be stored", exc_info=error)
    metrics.callbacks.labels("not_stored").inc()
    return TRY_AGAIN


def accounts_unreadable(error: Exception) -> Answer:
    """The answer if the database with the accounts cannot be read."""
    logger.error("The accounts could not be read", exc_info=error)
    return TRY_AGAIN


def too_large(push: Push) -> Answer:
    """The answer to a body over CALLBACK_MAX_BODY."""
    logger.warning("Callback of %s: body over CALLBACK_MAX_BODY", push.account.slug)
    metrics.callbacks.labels("too_large").inc()
    return _TOO_LARGE


def cut_short(push: Push) -> Answer:
    """The answer to a body that ended early, or whose Content-Length is not a number."""
    logger.warning("Callback of %s: the body ended early", push.account.slug)
    metrics.callbacks.labels("cut_short").inc()
    return _CUT_SHORT


def too_slow(push: Push) -> Answer:
    """The answer to a body that did not arrive within the time that WeChat waits."""
    logger.warning("Callback of %s: the body took too long", push.account.slug)
    metrics.callbacks.labels("too_slow").inc()
    return _TOO_SLOW


def quick_answer(arrival: Arrival, is_new: bool) -> Answer | None:
    """Returns the answer if it is known without a query, else None. Counts the push."""
    (metrics.stored if is_new else metrics.duplicate).inc()
    event = arrival.event
    if is_new and (event.status != EventLog.Status.RECEIVED or event.folded_at is None):
        # The worker folds a row whose fold failed a moment ago.
        return sealed(arrival, event.passive_reply)
    return None


def sealed(arrival: Arrival, reply_xml: str) -> Answer:
    """Returns the reply as an answer, encrypted if the push was; `success` if it is empty."""
    return _sealed(arrival.push, arrival.opened, reply_xml) if reply_xml else ACKNOWLEDGED


def _sealed(push: Push, opened: Opened, reply_xml: str) -> Answer:
    if opened.key is None:
        return Answer(200, reply_xml, "application/xml")
    xml = seal(
        reply_xml,
        opened.key,
        app_id=push.account.app_id,
        timestamp=int(timezone.now().timestamp()),
        nonce=str(secrets.randbelow(10**10)),
        random=secrets.token_bytes(16),
    )
    return Answer(200, xml, "application/xml")


def _refuse(account: OfficialAccount, refusal: NotAuthentic) -> Answer:
    name = type(refusal).__name__
    note_refusal(account.slug, name)
    return _refused(account.slug, f"{name} ({refusal.code})")


def _refuse_unknown(callback_key: str) -> Answer:
    note_refusal("", UNKNOWN_ACCOUNT)
    return _refused(callback_key, UNKNOWN_ACCOUNT)


def _refused(addressee: str, reason: str) -> Answer:
    logger.warning("Callback of %.64r refused: %s", addressee, reason)
    metrics.callbacks.labels("refused").inc()
    metrics.refusals.labels(reason).inc()
    return _FORBIDDEN


def _check_age(timestamp: int, account: OfficialAccount, now: datetime.datetime) -> None:
    late = int(now.timestamp()) - timestamp
    age = abs(late)
    limit = settings.CALLBACK_MAX_AGE
    if limit is not None and age > limit:
        raise NotAuthentic(f"timestamp is {age} seconds away from our clock")
    limit = settings.CALLBACK_MAX_AGE_PLAINTEXT
    if limit is not None and late > limit and account.security_mode == SecurityMode.PLAINTEXT:
        raise TooOld(f"a plaintext push is {late} seconds old")
    if age > _SUSPICIOUS_AGE.total_seconds():
        metrics.odd_timestamps.inc()
        logger.warning("Push to %s is dated %s seconds away from our clock", account.slug, age)

"""Short codes that a follower sends in the chat, for accounts whose QR codes carry no scene.

A code has eight of 31 characters, 8·10¹¹ in all, works once and lives ten minutes. A follower may
send five wrong codes in that time. Once an account's followers together sent a hundred wrong ones,
each may send only one. So a follower who sent none yet can always send one: nobody can lock others
out.
"""

from __future__ import annotations

import datetime
import re
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

from django.utils.crypto import salted_hmac

from events.binding_scenes import BETWEEN, new_binding_scene
from events.models import EventLog
from subscribers.models import BindingRequest, BindingScan, Refusal, Subscriber

__all__ = [
    "MOST_BY_ACCOUNT",
    "MOST_BY_FOLLOWER",
    "code_in",
    "columns_of_fresh_code",
    "digest_of",
    "is_shown_form",
    "new_code",
    "refuse_wrong_codes",
    "text_of",
    "tried_too_often",
]

MOST_BY_FOLLOWER = 5
MOST_BY_ACCOUNT = 100
_WINDOW = datetime.timedelta(minutes=10)
# Without 0 O 1 I L, which people mix up.
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_CODE = re.compile(rf"(?=.*\d)(?=.*[A-Z])[{_ALPHABET}]{{8}}")
# Characters of a text that may be a code, with what people write between and around it.
_LONGEST = 20
_WITHOUT_SEPARATORS = str.maketrans("", "", BETWEEN)


def new_code() -> str:
    """A fresh code with a letter and a digit at least, which most words do not have."""
    while True:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        if _CODE.fullmatch(code):
            return code


def text_of(event: EventLog) -> str:
    """The text of a text message; "" if the body has none, or was removed."""
    content = (event.payload or {}).get("Content", "")
    return content if isinstance(content, str) else ""


def code_in(event: EventLog) -> str:
    """The code, if this text message consists of one; else ""."""
    text = text_of(event)
    if len(text) > _LONGEST:
        return ""
    code = text.translate(_WITHOUT_SEPARATORS).strip().upper()
    return code if _CODE.fullmatch(code) else ""


def is_shown_form(event: EventLog) -> bool:
    """Whether the text has the form in which pages show codes; otherwise it may be a plain word."""
    return re.fullmatch(r"\w{4}-\w{4}", text_of(event).strip()) is not None


def columns_of_fresh_code(*, is_sent: bool) -> dict[str, Any]:
    """The columns of a request with a fresh code, either to send or to scan.

    For a code to send, the worker fetches no picture from WeChat.
    """
    scene = new_binding_scene()
    columns: dict[str, Any] = digest_of("", scene)
    if is_sent:
        code = new_code()
        return columns | digest_of(code, "") | {"code": code, "due_at": None}
    return columns | {"scene": scene}


def digest_of(code: str, scene: str) -> dict[str, str]:
    """The column and value that find the request with this code or, without a code, this scene."""
    if not code:
        return {"scene_digest": BindingRequest.digest_of(scene)}
    # Keyed, because an attacker who reads a plain digest could try all short codes.
    digest = salted_hmac("subscribers.binding.codes", code, algorithm="sha256").hexdigest()
    return {"code_digest": digest}


def tried_too_often(subscriber: Subscriber, event: EventLog) -> bool:
    """Whether this follower may try no further code now. The follower's row must be locked."""
    return _WrongCodes([(event, subscriber)]).are_too_many(event, subscriber)


def refuse_wrong_codes(sent: Sequence[tuple[EventLog, Subscriber]]) -> None:
    """Stores texts that arrived together, each a code that no request has, as refused scans.

    It takes four statements for any number of texts. The followers' rows must be locked.
    """
    wrong = _WrongCodes(sent)
    scans = []
    for event, subscriber in sent:
        is_late = wrong.are_too_many(event, subscriber)
        if not is_late:
            wrong.add(event, subscriber)
        scans.append(
            BindingScan(
                account_id=event.account_id,
                subscriber=subscriber,
                event_id=event.pk,
                event_time=event.event_time,
                outcome=BindingScan.Outcome.REFUSED,
                refused_reason=Refusal.TOO_MANY if is_late else Refusal.UNKNOWN,
            )
        )
    BindingScan.objects.bulk_create(scans)


class _WrongCodes:
    """Counts the recent wrong codes of some followers and of their accounts."""

    def __init__(self, sent: Sequence[tuple[EventLog, Subscriber]]) -> None:
        self._of_follower: dict[int, list[datetime.datetime]] = {}
        self._of_account: dict[int, deque[datetime.datetime]] = {}
        since = min(event.received_at for event, _ in sent) - _WINDOW
        rows = _wrong.filter(
            subscriber__in={subscriber.pk for _, subscriber in sent}, event_time__gt=since
        )
        for subscriber_id, at in rows.values_list("subscriber", "event_time"):
            self._of_follower.setdefault(subscriber_id, []).append(at)

    def are_too_many(self, event: EventLog, subscriber: Subscriber) -> bool:
        since = event.received_at - _WINDOW
        own = sum(at > since for at in self._of_follower.get(subscriber.pk, ()))
        if own == 0:
            return False
        if own >= MOST_BY_FOLLOWER:
            return True
        latest = self._latest_of(event.account_id)
        return len(latest) == MOST_BY_ACCOUNT and latest[0] > since

    def add(self, event: EventLog, subscriber: Subscriber) -> None:
        self._of_follower.setdefault(subscriber.pk, []).append(event.event_time)
        self._latest_of(event.account_id).append(event.event_time)

    def _latest_of(self, account_id: int) -> deque[datetime.datetime]:
        """The times of the account's latest hundred wrong codes, oldest first."""
        latest = self._of_account.get(account_id)
        if latest is None:
            rows = _wrong.filter(account=account_id).order_by("-pk")
            times = rows.values_list("event_time", flat=True)[:MOST_BY_ACCOUNT]
            latest = self._of_account[account_id] = deque(reversed(times), maxlen=MOST_BY_ACCOUNT)
        return latest


_wrong = BindingScan.objects.filter(refused_reason=Refusal.UNKNOWN)

"""Short codes that a follower sends in the chat, for accounts whose QR codes carry no scene.

A code has eight of 31 characters, 8·10¹¹ in all, works once and lives ten minutes. A follower has
five wrong ones in that time. Once followers of an account sent a hundred together, one wrong code
is the last for each of them; those who sent none are still heard, so nobody can lock them out.
"""

from __future__ import annotations

import datetime
import re
import secrets
from typing import Any

from django.utils.crypto import salted_hmac

from events.binding_scenes import new_binding_scene
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
    "tried_too_often",
]

MOST_BY_FOLLOWER = 5
MOST_BY_ACCOUNT = 100
_WINDOW = datetime.timedelta(minutes=10)
# Without 0 O 1 I L, which people take for each other.
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_CODE = re.compile(rf"(?=.*\d)(?=.*[A-Z])[{_ALPHABET}]{{8}}")
_BETWEEN = str.maketrans("", "", " -－–—\u3000")


def new_code() -> str:
    """A fresh code with a letter and a digit at least, which most words do not have."""
    while True:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        if _CODE.fullmatch(code):
            return code


def code_in(event: EventLog) -> str:
    """The code that this text message is, or ""."""
    content = (event.payload or {}).get("Content", "")
    if not isinstance(content, str) or len(content) > 20:
        return ""
    code = content.translate(_BETWEEN).strip().upper()
    return code if _CODE.fullmatch(code) else ""


def is_shown_form(event: EventLog) -> bool:
    """Whether the text is written as the page shows codes; else it may be a word of its own."""
    return (
        re.fullmatch(r"\w{4}-\w{4}", str((event.payload or {}).get("Content")).strip()) is not None
    )


def columns_of_fresh_code(*, is_sent: bool) -> dict[str, Any]:
    """The columns of a request that hold its fresh code, one to send or one to scan.

    WeChat makes no picture of a code to send.
    """
    scene = new_binding_scene()
    columns: dict[str, Any] = digest_of("", scene)
    if is_sent:
        code = new_code()
        return columns | digest_of(code, "") | {"code": code, "due_at": None}
    return columns | {"scene": scene}


def digest_of(code: str, scene: str) -> dict[str, str]:
    """The column by which the request of this code is found; without a code, of this scene."""
    if not code:
        return {"scene_digest": BindingRequest.digest_of(scene)}
    # Keyed, as all short codes could be tried against a plain digest.
    digest = salted_hmac("subscribers.binding.codes", code, algorithm="sha256").hexdigest()
    return {"code_digest": digest}


def tried_too_often(subscriber: Subscriber, event: EventLog) -> bool:
    """Whether this follower may try no further code now. The follower's row must be locked."""
    since = event.received_at - _WINDOW
    wrong = BindingScan.objects.filter(refused_reason=Refusal.UNKNOWN, event_time__gt=since)
    tries = wrong.filter(subscriber=subscriber).count()
    if tries == 0:
        return False
    if tries >= MOST_BY_FOLLOWER:
        return True
    of_account = BindingScan.objects.filter(
        account=subscriber.account_id, refused_reason=Refusal.UNKNOWN
    ).order_by("-pk")
    earliest = of_account.values_list("event_time", flat=True)[
        MOST_BY_ACCOUNT - 1 : MOST_BY_ACCOUNT
    ]
    return any(at > since for at in earliest)

"""Scenes that are secret until their scan.

Account binding shows a QR code whose scene works once. A reader of the scene could bind their own
WeChat before the owner does, so the site masks every text that it shows.
So it does with a short code that a follower sends in the chat, as long as a code may be valid.
The reserved shape makes a secret scene recognisable wherever its text turns up, even in a body that
could not be parsed.
"""

from __future__ import annotations

import datetime
import re
import secrets

__all__ = [
    "CODE_MAY_BE_VALID",
    "MASK",
    "SHAPE",
    "is_binding_scene",
    "mask",
    "mask_codes",
    "mask_shown_code",
    "new_binding_scene",
]

MASK = "bind-••••"
# A code lives ten minutes, and a push may come a minute late.
CODE_MAY_BE_VALID = datetime.timedelta(minutes=11)
_CODE_MASK = "••••-••••"
# As a regular expression that Python and both databases read alike.
SHAPE = r"bind-[A-Za-z0-9_-]{32}"
_SHAPE = re.compile(SHAPE)
# The ticket of a QR code leads to its picture, so it is as secret as its scene.
# Eight characters of subscribers.binding.codes, with what people write between them. Chinese words
# stand beside them without a space.
_CODE = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[A-HJKMNP-Z2-9][ \-－–—\u3000]*){7}[A-HJKMNP-Z2-9](?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
_SHOWN_CODE = re.compile(r"(?=.*\d)(?=.*[A-Z])[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}")
_TICKET = re.compile(r"<Ticket>.*?(</Ticket>|\Z)", re.DOTALL)


def new_binding_scene() -> str:
    """A fresh scene of 192 random bits; 37 of the 64 characters WeChat allows."""
    return "bind-" + secrets.token_urlsafe(24)


def is_binding_scene(scene: str) -> bool:
    return _SHAPE.fullmatch(scene) is not None


def mask(text: str) -> str:
    """The text with its binding scenes, and the ticket of a body with one, made unreadable."""
    masked, found = _SHAPE.subn(MASK, text)
    return _TICKET.sub("<Ticket>••••</Ticket>", masked) if found else text


def mask_codes(text: str, at: datetime.datetime, *, now: datetime.datetime) -> str:
    """A text of that time; what may be a code in it is unreadable while the code may be valid."""
    return _CODE.sub(_masked_code, text) if now - at < CODE_MAY_BE_VALID else text


def _masked_code(found: re.Match[str]) -> str:
    code = found[0]
    is_mixed = any(map(str.isdigit, code)) and any(map(str.isalpha, code))
    return _CODE_MASK if is_mixed else code


def mask_shown_code(text: str) -> str:
    """The same for a text that is a code as pages show it, in copies that are kept for good.

    A product's number that somebody asks for stays readable there.
    """
    return _CODE_MASK if _SHOWN_CODE.fullmatch(text.strip()) else text

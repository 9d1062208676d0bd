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
    "BETWEEN",
    "CODE_CHARACTERS",
    "CODE_MASK",
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
CODE_MASK = "••••-••••"
# What codes of subscribers.binding.codes are made of, in a set of a regular expression, and what
# people write between.
CODE_CHARACTERS = "A-HJKMNP-Z2-9"
BETWEEN = " -－–—\u3000"
# As a regular expression that Python and both databases read alike.
SHAPE = r"bind-[A-Za-z0-9_-]{32}"
_SHAPE = re.compile(SHAPE)
# The ticket of a QR code leads to its picture, so it is as secret as its scene.
# Chinese words stand beside a code without a space.
_CODE = re.compile(
    rf"(?<![A-Za-z0-9_-])(?:[{CODE_CHARACTERS}][{re.escape(BETWEEN)}]*){{7}}[{CODE_CHARACTERS}]"
    r"(?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
_SHOWN_CODE = re.compile(rf"(?=.*\d)(?=.*[A-Z])[{CODE_CHARACTERS}]{{4}}-[{CODE_CHARACTERS}]{{4}}")
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
    return CODE_MASK if is_mixed else code


def mask_shown_code(text: str) -> str:
    """The same for a text that is a code as pages show it, in copies that are kept for good.

    A product's number that somebody asks for stays readable there.
    """
    return CODE_MASK if _SHOWN_CODE.fullmatch(text.strip()) else text

"""Masks the secrets of account binding in texts that the site shows.

Account binding shows a QR code whose scene works once. A person who reads the scene could bind
their own WeChat before the owner does, so the site masks scenes in every text that it shows. It
also masks a short code that a follower sends in the chat, as long as the code may be valid.
The reserved shape makes a secret scene recognisable in any text, even in a body that could not be
parsed.
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
# The characters of codes (subscribers.binding.codes), as a set of a regular expression, and the
# characters that people write between them.
CODE_CHARACTERS = "A-HJKMNP-Z2-9"
BETWEEN = " -－–—\u3000"
# A regular expression that Python and both databases read alike.
SHAPE = r"bind-[A-Za-z0-9_-]{32}"
_SHAPE = re.compile(SHAPE)
# Chinese words stand beside a code without a space, so \b would not find its ends.
_CODE = re.compile(
    rf"(?<![A-Za-z0-9_-])(?:[{CODE_CHARACTERS}][{re.escape(BETWEEN)}]*){{7}}[{CODE_CHARACTERS}]"
    r"(?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
_SHOWN_CODE = re.compile(rf"(?=.*\d)(?=.*[A-Z])[{CODE_CHARACTERS}]{{4}}-[{CODE_CHARACTERS}]{{4}}")
# The ticket of a QR code leads to its picture, so it is as secret as its scene.
_TICKET = re.compile(r"<Ticket>.*?(</Ticket>|\Z)", re.DOTALL)


def new_binding_scene() -> str:
    """A fresh scene of 192 random bits; 37 of the 64 characters WeChat allows."""
    return "bind-" + secrets.token_urlsafe(24)


def is_binding_scene(scene: str) -> bool:
    return _SHAPE.fullmatch(scene) is not None


def mask(text: str) -> str:
    """Masks the binding scenes in a text, and the QR code's ticket if the text holds a scene."""
    masked, found = _SHAPE.subn(MASK, text)
    return _TICKET.sub("<Ticket>••••</Ticket>", masked) if found else text


def mask_codes(text: str, at: datetime.datetime, *, now: datetime.datetime) -> str:
    """Masks possible codes in a text of the time `at`, while such a code may still be valid."""
    return _CODE.sub(_masked_code, text) if now - at < CODE_MAY_BE_VALID else text


def _masked_code(found: re.Match[str]) -> str:
    code = found[0]
    is_mixed = any(map(str.isdigit, code)) and any(map(str.isalpha, code))
    return CODE_MASK if is_mixed else code


def mask_shown_code(text: str) -> str:
    """Masks a text that is exactly one code as pages show it, for copies that are kept for ever.

    It leaves other texts, so that for example a product number in a question stays readable.
    """
    return CODE_MASK if _SHOWN_CODE.fullmatch(text.strip()) else text

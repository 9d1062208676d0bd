"""Scenes that are secret until their scan.

Account binding shows a QR code whose scene works once. A reader of the scene could bind their own
WeChat before the owner does, so the site masks every text that it shows.
The reserved shape makes a secret scene recognisable wherever its text turns up, even in a body that
could not be parsed.
"""

from __future__ import annotations

import re
import secrets

__all__ = ["MASK", "SHAPE", "is_binding_scene", "mask", "new_binding_scene"]

MASK = "bind-••••"
# As a regular expression that Python and both databases read alike.
SHAPE = r"bind-[A-Za-z0-9_-]{32}"
_SHAPE = re.compile(SHAPE)
# The ticket of a QR code leads to its picture, so it is as secret as its scene.
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

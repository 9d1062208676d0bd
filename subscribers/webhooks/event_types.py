"""The types of events for webhooks, and the types that each row of the log has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from events.kinds import KINDS, Effect

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["ANY_EVENT", "TEST", "TYPES", "is_type", "types_of", "wants"]

ANY_EVENT = "event.*"
# A test goes to one endpoint when a user asks for it, whatever the endpoint's types.
TEST = "webhook.test"

TYPES: Mapping[str, StrOrPromise] = {
    "follower.followed": _("somebody follows"),
    "follower.unfollowed": _("somebody unfollows"),
    "follower.seen_scan": _("a follower scans a QR code"),
    "binding.created": _("a follower is bound to a user"),
    "binding.ended": _("a binding ends"),
    "message.received": _("a follower writes"),
    "message.failed": _("a message to a follower fails"),
    "scene.ready": _("a QR code is ready"),
    ANY_EVENT: _("every event that WeChat pushes"),
}

_ONE_EVENT = re.compile(r"event\.[a-z0-9_]{1,58}")
_OF_FOLLOWERS = {
    "reconcile.follow": "follower.followed",
    "reconcile.unfollow": "follower.unfollowed",
}
_OF_EFFECTS = {Effect.FOLLOW: "follower.followed", Effect.UNFOLLOW: "follower.unfollowed"}


def is_type(name: str) -> bool:
    """Whether an endpoint may have this type: one of TYPES, or an event such as `event.click`."""
    return name in TYPES or _ONE_EVENT.fullmatch(name) is not None


def types_of(kind: str) -> list[str]:
    """The types that a row of the log of this kind has: those of its meaning, an event's name."""
    if kind in _OF_FOLLOWERS:
        return [_OF_FOLLOWERS[kind]]
    entry = KINDS.get(kind)
    if not kind.startswith("event."):
        # A message of an unknown kind is a message too.
        is_message = "." not in kind and (entry is None or entry.window == "message")
        return ["message.received"] if is_message else []
    types = [kind]
    if entry is not None and entry.effect in _OF_EFFECTS:
        types.append(_OF_EFFECTS[entry.effect])
    if kind == "event.scan":
        types.append("follower.seen_scan")
    return types


def wants(types: list[str], type_: str) -> bool:
    """Whether an endpoint with these types gets events of this type."""
    return type_ in types or (ANY_EVENT in types and type_.startswith("event."))

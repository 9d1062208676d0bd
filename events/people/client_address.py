"""Where a request comes from, through as many proxies as the site believes."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

__all__ = ["client_address", "is_local_peer"]

# What a proxy adds: with one of these, the peer speaks for somebody else.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


def client_address(request: HttpRequest) -> str:
    """The visitor's IP address, as TRUSTED_PROXIES proxies in front of this site tell it.

    Each proxy appends its own peer to X-Forwarded-For, so only that many entries from the right
    can be believed; what stands further left the visitor may have written himself. A peer on a
    Unix socket has no address and counts as this machine.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if settings.TRUSTED_PROXIES:
        entries = request.headers.get("X-Forwarded-For", "").split(",")[-settings.TRUSTED_PROXIES :]
        peer = _parsed(entries[0]) or peer
    return _parsed(peer) or "127.0.0.1"


def is_local_peer(request: HttpRequest) -> bool:
    """Whether the connection itself comes from this machine, and not through a proxy on it."""
    if settings.TRUSTED_PROXIES or any(name in request.headers for name in _FORWARDED):
        return False
    address = _parsed(str(request.META.get("REMOTE_ADDR", "")))
    return bool(address) and ipaddress.ip_address(address).is_loopback


def _parsed(text: str) -> str:
    """The address in its usual form, without a port; "" if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)

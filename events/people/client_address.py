"""Finds the address from which a request comes, behind the proxies that the site trusts."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

__all__ = ["client_address", "is_local_peer"]

# Headers that a proxy adds. The peer of a request with one of them is a proxy, not the visitor.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


def client_address(request: HttpRequest) -> str:
    """Returns the visitor's IP address, as reported by the proxies in front of this site.

    Their number is TRUSTED_PROXIES. Each proxy appends its own peer to X-Forwarded-For. So only
    that many entries from the right are reliable; the visitor may have written those further left.
    A peer on a Unix socket has no address and counts as this machine.
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
    """Returns the address in its usual form, without a port; "" if the text is no address."""
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

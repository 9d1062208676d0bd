"""Makes clients of WeChat's API for the accounts of this site."""

from __future__ import annotations

import os
import threading
from functools import lru_cache

from django.conf import settings

from events.models import OfficialAccount
from events.platform.tokens import SharedTokens
from events.wechat.api import Client, Timeouts, Wire

__all__ = ["client_for", "close_wire", "wire"]

_making = threading.Lock()


def client_for(account: OfficialAccount) -> Client:
    """Returns a client of WeChat's API for this account, with the token that all processes share.

    Make calls outside transactions, because they wait for the network.
    """
    shared = wire()
    return Client(shared, SharedTokens(account, shared))


def wire() -> Wire:
    """Returns this process's connections to WeChat, with the addresses in the settings."""
    # Without the lock two threads could make two at the same time, and one would stay open.
    with _making:
        return _wire(
            settings.WECHAT_API_BASE,
            settings.WECHAT_MP_BASE,
            Timeouts(settings.WECHAT_API_CONNECT_TIMEOUT, settings.WECHAT_API_READ_TIMEOUT),
            settings.WECHAT_API_PROXY,
        )


def close_wire() -> None:
    """Closes those connections; the next call opens new ones."""
    wire().close()
    _wire.cache_clear()


@lru_cache(maxsize=4)
def _wire(api_base: str, mp_base: str, timeouts: Timeouts, proxy: str) -> Wire:
    return Wire(api_base=api_base, mp_base=mp_base, timeouts=timeouts, proxy=proxy or None)


def _begin_in_child() -> None:
    """Makes a child process open its own connections instead of using its parent's."""
    global _making
    _making = threading.Lock()
    _wire.cache_clear()


os.register_at_fork(after_in_child=_begin_in_child)

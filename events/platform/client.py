"""The platform's API for the accounts of this site."""

from __future__ import annotations

import os
from functools import lru_cache

from django.conf import settings

from events.models import OfficialAccount
from events.platform.tokens import SharedTokens
from events.wechat.api import Client, Timeouts, Wire

__all__ = ["client_for", "wire"]


def client_for(account: OfficialAccount) -> Client:
    """A client of this account's platform, with the token that all processes share.

    Its calls belong outside transactions: they wait for the network.
    """
    shared = wire()
    return Client(shared, SharedTokens(account, shared))


def wire() -> Wire:
    """The connections of this process to the addresses in the settings."""
    return _wire(
        settings.WECHAT_API_BASE,
        settings.WECHAT_MP_BASE,
        Timeouts(settings.WECHAT_API_CONNECT_TIMEOUT, settings.WECHAT_API_READ_TIMEOUT),
        settings.WECHAT_API_PROXY,
    )


@lru_cache(maxsize=4)
def _wire(api_base: str, mp_base: str, timeouts: Timeouts, proxy: str) -> Wire:
    return Wire(api_base=api_base, mp_base=mp_base, timeouts=timeouts, proxy=proxy or None)


# A child process must not talk over its parent's connections.
os.register_at_fork(after_in_child=_wire.cache_clear)

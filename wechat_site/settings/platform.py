"""Calling WeChat's API, and the customer-service messages that it allows."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import DEBUG, env
from wechat_site.settings.retention import EVENT_RETENTION_DAYS


def _platform_base(name: str, default: str) -> str:
    base: str = env.str(name, default=default).rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in {"https", "http"} or not parts.netloc or parts.path:
        raise ImproperlyConfigured(f"{name} must be an address without a path: {default}")
    if parts.scheme == "http" and not DEBUG:
        raise ImproperlyConfigured(f"DEBUG is off, so {name} must begin with https://")
    return base


# The address for calls; regional hosts such as https://sh.api.weixin.qq.com take the same calls.
WECHAT_API_BASE = _platform_base("WECHAT_API_BASE", "https://api.weixin.qq.com")
# The address of the pictures of QR codes.
WECHAT_MP_BASE = _platform_base("WECHAT_MP_BASE", "https://mp.weixin.qq.com")
# Seconds for connecting, and between two pieces of an answer.
WECHAT_API_CONNECT_TIMEOUT = env.float("WECHAT_API_CONNECT_TIMEOUT", default=5)
WECHAT_API_READ_TIMEOUT = env.float("WECHAT_API_READ_TIMEOUT", default=10)
# How many customer-service messages (客服消息) a follower's act allows, and for how many seconds.
# These are the numbers of 2023-06-12; WeChat has changed them before.
_WINDOWS = {"message": (5, 48 * 3600), "menu": (3, 60), "follow": (3, 60), "scan": (3, 60)}


def _message_windows() -> dict[str, tuple[int, int]]:
    try:
        given = {
            act: (int(messages), int(seconds))
            for act, (messages, seconds) in env.json("MESSAGE_WINDOWS", default={}).items()
        }
        if not given.keys() <= _WINDOWS.keys():
            raise ValueError("unknown act")
    except (AttributeError, TypeError, ValueError):
        raise ImproperlyConfigured(
            'MESSAGE_WINDOWS must be JSON such as {"message": [5, 172800], "follow": [3, 60]}: '
            "messages and seconds, for any of message, menu, follow and scan."
        ) from None
    return _WINDOWS | given


MESSAGE_WINDOWS = _message_windows()
if (
    EVENT_RETENTION_DAYS
    and max(seconds for _, seconds in MESSAGE_WINDOWS.values()) > EVENT_RETENTION_DAYS * 24 * 3600
):
    raise ImproperlyConfigured(
        "EVENT_RETENTION_DAYS is shorter than a window of MESSAGE_WINDOWS, which is computed from "
        "the events: set it to at least 2."
    )
# The hour of the day, by each account's clock, at which the worker compares its followers with
# WeChat's list. Empty: only when a user asks for it.
_hour = env.str("FOLLOWER_SYNC_HOUR", default="3")
if _hour not in {"", *map(str, range(24))}:
    raise ImproperlyConfigured("FOLLOWER_SYNC_HOUR must be an hour from 0 to 23, or empty.")
FOLLOWER_SYNC_HOUR = int(_hour) if _hour else None
# An outgoing proxy, for sites where the proxy's address is on the account's IP list (IP白名单).
WECHAT_API_PROXY = env.str("WECHAT_API_PROXY", default="")

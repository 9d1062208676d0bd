"""The operators' pages for followers, bindings, messages, QR codes and syncs."""

from __future__ import annotations

from subscribers.admin import (
    bindings,
    inbox,
    message_texts,
    messages,
    personal_data,
    profile_fetches,
    qr_codes,
    seen_scenes,
    subscribers,
    syncs,
    wechat_days,
)

__all__ = [
    "bindings",
    "inbox",
    "message_texts",
    "messages",
    "personal_data",
    "profile_fetches",
    "qr_codes",
    "seen_scenes",
    "subscribers",
    "syncs",
    "wechat_days",
]

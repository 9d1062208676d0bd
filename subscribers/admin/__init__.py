"""The operators' pages for followers, bindings, messages, QR codes and syncs."""

from __future__ import annotations

from subscribers.admin import bindings, wechat_days
from subscribers.admin.followers import (
    follower_edit_jobs,
    follower_exports,
    personal_data,
    segments,
    subscribers,
)
from subscribers.admin.inbox import inbox, saved_answers
from subscribers.admin.messages import message_texts, messages
from subscribers.admin.qr_codes import qr_codes, seen_scenes
from subscribers.admin.sync import profile_fetches, syncs
from subscribers.admin.webhooks import webhook_deliveries, webhooks

__all__ = [
    "bindings",
    "follower_edit_jobs",
    "follower_exports",
    "inbox",
    "message_texts",
    "messages",
    "personal_data",
    "profile_fetches",
    "qr_codes",
    "saved_answers",
    "seen_scenes",
    "segments",
    "subscribers",
    "syncs",
    "webhook_deliveries",
    "webhooks",
    "wechat_days",
]

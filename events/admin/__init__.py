"""The operators' pages for accounts, log, menus, reply rules and API keys, one module each."""

from __future__ import annotations

from events.admin import alert_limits, alerts, event_log
from events.admin.accounts import accounts
from events.admin.media import media
from events.admin.menus import live_menus, menus
from events.admin.people import api_keys, audit
from events.admin.rules import reply_rules, versions

__all__ = [
    "accounts",
    "alert_limits",
    "alerts",
    "api_keys",
    "audit",
    "event_log",
    "live_menus",
    "media",
    "menus",
    "reply_rules",
    "versions",
]

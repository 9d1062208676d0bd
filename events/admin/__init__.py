"""The operators' pages for accounts, log, menus, reply rules and API keys, one module each."""

from __future__ import annotations

from events.admin import accounts, alerts, api_keys, audit, event_log, live_menus, menus
from events.admin.rules import rules, versions

__all__ = [
    "accounts",
    "alerts",
    "api_keys",
    "audit",
    "event_log",
    "live_menus",
    "menus",
    "rules",
    "versions",
]

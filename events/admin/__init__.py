"""The operators' pages for accounts, log, menus, reply rules and API keys, one module each."""

from __future__ import annotations

from events.admin import accounts, keys, log, menus, rules

__all__ = ["accounts", "keys", "log", "menus", "rules"]

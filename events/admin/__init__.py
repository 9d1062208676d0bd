"""The operators' pages for accounts, log, reply rules and API keys, one module each."""

from __future__ import annotations

from events.admin import accounts, keys, log, rules

__all__ = ["accounts", "keys", "log", "rules"]

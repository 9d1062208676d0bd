"""The operators' pages for followers, bindings, messages, QR codes and syncs, one module each."""

from __future__ import annotations

from subscribers.admin import messages, personal_data, qr_codes, subscribers, syncs

__all__ = ["messages", "personal_data", "qr_codes", "subscribers", "syncs"]

"""Makes the address to which WeChat pushes an account's events."""

from __future__ import annotations

from django.urls import reverse

from events.models import OfficialAccount

__all__ = ["callback_path"]


def callback_path(account: OfficialAccount) -> str:
    """The path of the account's callback URL (服务器地址)."""
    return reverse("events:callback", args=[account.callback_key])

"""A template tag for pages about the second factor."""

from __future__ import annotations

from typing import Any

from django import template

from wechat_site.signin.second_factor import needs_second_factor

register = template.Library()


@register.simple_tag
def owes_second_factor(user: Any) -> bool:
    """Whether the site demands a second factor of this user."""
    return needs_second_factor(user)

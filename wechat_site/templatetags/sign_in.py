"""A template tag for the sign-in page."""

from __future__ import annotations

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def scan_sign_in() -> bool:
    """Whether users may sign in with WeChat."""
    return bool(settings.SCAN_SIGN_IN)

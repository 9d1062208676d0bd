from __future__ import annotations

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def signs_in_elsewhere() -> bool:
    """Whether users sign in to other applications from here."""
    return bool(settings.OPENID_CONNECT)

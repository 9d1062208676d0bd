"""Which form of an answer a request gets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer

__all__ = ["KnownFormats"]


class KnownFormats(DefaultContentNegotiation):
    """DRF's rules, but a `format` that there is not is a wrong parameter, and no wrong address."""

    def filter_renderers(
        self, renderers: Iterable[BaseRenderer], format: Any
    ) -> list[BaseRenderer]:
        offered = list(renderers)
        found = [renderer for renderer in offered if renderer.format == format]
        if not found:
            known = ", ".join(str(renderer.format) for renderer in offered)
            raise ValidationError({"format": [_("One of %s.") % known]}, code="invalid_choice")
        return found

"""Chooses the form of an answer, and answers OPTIONS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.metadata import BaseMetadata
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

if TYPE_CHECKING:
    # At run time rest_framework.views imports this module, by name from the settings.
    from rest_framework.views import APIView

__all__ = ["KnownFormats", "NoDescription"]


class NoDescription(BaseMetadata):
    """Answers OPTIONS only with the header Allow: /api/schema/ describes the API."""

    def determine_metadata(self, request: Request, view: APIView) -> None:
        return None


class KnownFormats(DefaultContentNegotiation):
    """DRF's rules, but an unknown `format` is a wrong parameter (400) instead of a 404."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if request.query_params.get("format") == "":
            sentence = _("Give a value, or leave this out.")
            raise ValidationError({"format": [sentence]}, code="empty")
        chosen: tuple[BaseRenderer, str] = super().select_renderer(
            request, renderers, format_suffix
        )
        return chosen

    def filter_renderers(
        self, renderers: Iterable[BaseRenderer], format: Any
    ) -> list[BaseRenderer]:
        offered = list(renderers)
        found = [renderer for renderer in offered if renderer.format == format]
        if not found:
            known = ", ".join(str(renderer.format) for renderer in offered)
            raise ValidationError({"format": [_("One of %s.") % known]}, code="invalid_choice")
        return found

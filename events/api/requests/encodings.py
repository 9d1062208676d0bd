"""Which compression a request takes."""

from __future__ import annotations

from django.http.request import MediaType

__all__ = ["takes_gzip"]


def takes_gzip(accepted: str) -> bool:
    """Whether this value of Accept-Encoding allows gzip (RFC 9110, 12.5.3)."""
    # A coding is written like a media type: a name and perhaps a quality. Quality 0 refuses it.
    codings = [MediaType(written) for written in accepted.lower().split(",")]
    qualities = {coding.main_type: coding.quality for coding in codings}
    return qualities.get("gzip", qualities.get("*", 0)) > 0

"""Reads the logo, the picture in the middle of a QR code."""

from __future__ import annotations

from events.models import private_files
from subscribers.models import QRScene

__all__ = ["logo_of"]


def logo_of(code: QRScene) -> bytes | None:
    """The bytes of the logo; None for a code without a logo, or if the file is gone."""
    if code.logo is None:
        return None
    try:
        with private_files().open(code.logo.path) as file:
            content: bytes = file.read()
    except OSError:
        return None
    return content

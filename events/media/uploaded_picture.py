"""Reads a picture that somebody uploaded, without trusting it."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

__all__ = ["LARGEST", "NoPicture", "as_jpeg", "read_picture"]

# Bytes of an upload.
LARGEST = 2 * 1024 * 1024
# A side of an upload; what is larger costs much memory to read.
_LONGEST_SIDE = 4096


class NoPicture(Exception):
    """The upload is no JPEG, PNG or GIF, or too large."""


def read_picture(content: bytes) -> Image.Image:
    """The picture as a camera meant it, with transparency; raises NoPicture."""
    if len(content) > LARGEST:
        raise NoPicture
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "GIF")) as opened:
                if max(opened.size) > _LONGEST_SIDE:
                    raise NoPicture
                return ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError):
        raise NoPicture from None


def as_jpeg(drawn: Image.Image) -> bytes:
    """The picture on white, since JPEG knows no transparency, and without metadata."""
    on_white = Image.new("RGBA", drawn.size, "white")
    on_white.alpha_composite(drawn)
    jpeg = io.BytesIO()
    on_white.convert("RGB").save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()

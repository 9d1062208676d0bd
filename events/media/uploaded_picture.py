"""Reads an uploaded picture without trusting it."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

__all__ = ["LARGEST", "NoPicture", "as_jpeg", "read_picture"]

# The most bytes of an upload.
LARGEST = 2 * 1024 * 1024
# The most pixels of a side; a larger picture needs much memory.
_LONGEST_SIDE = 4096


class NoPicture(Exception):
    """The upload is not a JPEG, PNG or GIF, or it is too large."""


def read_picture(content: bytes) -> Image.Image:
    """Returns the picture, turned as the camera says, with transparency; raises NoPicture."""
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
    """Returns the picture as JPEG without metadata, on white, as JPEG has no transparency."""
    on_white = Image.new("RGBA", drawn.size, "white")
    on_white.alpha_composite(drawn)
    jpeg = io.BytesIO()
    on_white.convert("RGB").save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()

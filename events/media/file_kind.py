"""Tells the kind of a file by its content, not by its name."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import IO

from PIL import Image

from events.wechat.api.media import LIMITS

__all__ = ["FileKind", "FileMistake", "Unusable", "look_at"]

# The length of an AMR frame in milliseconds, and its size in bytes by the frame's mode.
_AMR_FRAME = 20
_AMR_SIZES = (12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0)
_LONGEST_VOICE = 60
_AMR = b"#!AMR\n"
_PICTURES = {
    "JPEG": ("image/jpeg", "jpg"),
    "PNG": ("image/png", "png"),
    "GIF": ("image/gif", "gif"),
}


class FileMistake:
    """Why WeChat would refuse a file."""

    UNKNOWN = "unknown"
    LARGE = "large"
    LONG = "long"


class Unusable(Exception):
    """WeChat would refuse this file; `mistake` says why."""

    def __init__(self, mistake: str) -> None:
        super().__init__(mistake)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class FileKind:
    """A file's kind (image, voice or video), content type and usual extension."""

    kind: str
    content_type: str
    extension: str


def look_at(content: bytes) -> FileKind:
    """Returns what the content is; raises Unusable if it is unknown, too large or too long."""
    found = _known(content)
    if found is None:
        raise Unusable(FileMistake.UNKNOWN)
    if len(content) > LIMITS[found.kind]:
        raise Unusable(FileMistake.LARGE)
    if found.extension == "amr" and _amr_seconds(content) > _LONGEST_VOICE:
        raise Unusable(FileMistake.LONG)
    return found


def _known(content: bytes) -> FileKind | None:
    if content.startswith(_AMR):
        return FileKind("voice", "audio/amr", "amr")
    is_mpeg = content[:2] in {b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"}
    if content.startswith(b"ID3") or is_mpeg:
        return FileKind("voice", "audio/mpeg", "mp3")
    if content[4:8] == b"ftyp":
        return FileKind("video", "video/mp4", "mp4")
    return _picture(io.BytesIO(content))


def _picture(content: IO[bytes]) -> FileKind | None:
    try:
        with warnings.catch_warnings():
            # A picture with very many more pixels than bytes is an attack.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(content, formats=tuple(_PICTURES)) as picture:
                kind = _PICTURES[str(picture.format)]
                picture.verify()
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError):
        return None
    return FileKind("image", *kind)


def _amr_seconds(content: bytes) -> float:
    at, frames = len(_AMR), 0
    while at < len(content):
        at += 1 + _AMR_SIZES[content[at] >> 3 & 15]
        frames += 1
    return frames * _AMR_FRAME / 1000

"""Makes the files that simulated followers send: a striped picture, silence, an empty video."""

from __future__ import annotations

import functools
import re
import struct
import zlib

from events.simulator.pushes import Push

__all__ = ["files_of"]

_MEDIA_ID = re.compile(rb"<(MediaId|ThumbMediaId)>(?:<!\[CDATA\[)?([^\]<]+)")
_KINDS = {"image": "image", "voice": "voice", "video": "video", "shortvideo": "video"}
_WIDTH, _HEIGHT = 240, 160
# The number of different pictures. It is small, because each stays in memory.
_PICTURES = 12
# One frame of AMR at 12.2 kbit/s lasts 20 ms.
_SILENCE = b"\x3c" + b"\0" * 31
_VOICE_FRAMES = 150


def files_of(push: Push) -> dict[str, tuple[str, bytes]]:
    """Returns kind (image, voice, video) and content of a message's files, by media_id.

    They are the same each time for a push. A video has a preview picture.
    """
    if push.msg_type not in _KINDS:
        return {}
    return {
        media_id.decode(): _file("image" if name == b"ThumbMediaId" else push.msg_type, push)
        for name, media_id in _MEDIA_ID.findall(push.body)
    }


def _file(msg_type: str, push: Push) -> tuple[str, bytes]:
    kind = _KINDS[msg_type]
    match kind:
        case "image":
            return kind, _picture(zlib.crc32(push.body) % _PICTURES)
        case "voice":
            return kind, b"#!AMR\n" + _SILENCE * _VOICE_FRAMES
        case _:
            return kind, _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + _box(b"free", b"")


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


@functools.cache
def _picture(number: int) -> bytes:
    """Makes a PNG of stripes; each number has its own colour."""
    dark = [40 + number * 37 % 160, 40 + number * 71 % 160, 40 + number * 113 % 160]
    light = [value + 50 for value in dark]
    lines = (
        b"\0" + b"".join(bytes(light if (x + y) // 20 % 2 else dark) for x in range(_WIDTH))
        for y in range(_HEIGHT)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in (
            (b"IHDR", struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(b"".join(lines))),
            (b"IEND", b""),
        )
    )

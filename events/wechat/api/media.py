"""Temporary material (临时素材): files that WeChat keeps for three days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .transport.answer_fields import text
from .transport.api_errors import BadAnswer
from .transport.calls import Calls

__all__ = ["KEPT_DAYS", "LIMITS", "Content", "Media"]

KEPT_DAYS = 3
# Bytes, by the kind of file.
LIMITS: Mapping[str, int] = {
    "image": 10 * 1024 * 1024,
    "voice": 2 * 1024 * 1024,
    "video": 10 * 1024 * 1024,
    # The poster of a video, a JPEG.
    "thumb": 64 * 1024,
}


@dataclass(frozen=True, slots=True)
class Content:
    """A file as WeChat sent it; the type is from the header of the answer."""

    content_type: str
    data: bytes


class Media:
    """Uploads files, and fetches those that followers sent."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def upload(self, kind: str, name: str, content_type: str, data: bytes) -> str:
        """Uploads a file of a kind in LIMITS, and returns its media_id, which lasts three days.

        Raises ValueError for a file larger than its limit.
        """
        if len(data) > LIMITS[kind]:
            raise ValueError(f"a {kind} has at most {LIMITS[kind]} bytes")
        path = "/cgi-bin/media/upload"
        answer = self._calls.upload(path, {"type": kind}, "media", (name, data, content_type))
        # For a thumb WeChat names this field differently.
        media_id = text(answer, "thumb_media_id" if kind == "thumb" else "media_id")
        if not media_id:
            raise BadAnswer(path, "no media_id in the answer")
        return media_id

    def get(self, media_id: str, *, most: int) -> Content:
        """Returns the file of a media_id; raises BadAnswer if it has more than `most` bytes.

        For a video WeChat answers with another address; this method fetches the video from there.
        """
        path = "/cgi-bin/media/get"
        found = self._calls.download(path, {"media_id": media_id}, most=most)
        return Content(*found)

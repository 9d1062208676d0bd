"""The poster of a video of the media library: the picture that is shown until it is played.

WeChat asks for one beside the video in a customer-service message (thumb_media_id).
"""

from __future__ import annotations

from django.core.files.base import ContentFile
from django.db import transaction

from events.media.uploaded_picture import NoPicture, as_jpeg, read_picture
from events.models import MediaFile, private_files
from events.wechat.api.media import LIMITS

__all__ = ["prepared_poster", "set_poster"]

# Pixels of the longer side, tried one after the other until the file is small enough.
_SIDES = (640, 480, 320, 200)


def prepared_poster(content: bytes) -> bytes:
    """Converts an uploaded picture into a JPEG within WeChat's limit; raises NoPicture."""
    drawn = read_picture(content)
    for side in _SIDES:
        drawn.thumbnail((side, side))
        jpeg = as_jpeg(drawn)
        if len(jpeg) <= LIMITS["thumb"]:
            return jpeg
    raise NoPicture


def set_poster(video: MediaFile, jpeg: bytes) -> None:
    """Gives the video a prepared poster; both are uploaded again when they are needed."""
    former = video.poster.name
    video.poster = private_files().save("media/poster.jpg", ContentFile(jpeg))
    video.media_id, video.thumb_media_id, video.uploaded_at = "", "", None
    # A worker that uploads the former poster now loses its lease, and the file is due again.
    video.lease, video.leased_until = "", None
    at_wechat = ["media_id", "thumb_media_id", "uploaded_at"]
    video.save(update_fields=["poster", *at_wechat, "lease", "leased_until"])
    if former:
        transaction.on_commit(lambda: private_files().delete(former))

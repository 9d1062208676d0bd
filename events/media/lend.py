"""Lends files to WeChat: uploads them when they are needed, and again before WeChat deletes them.

A message or rule names a file of the library by a reference instead of a media_id.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from django.core.files.base import ContentFile
from django.utils import timezone

from events.jobs.run import GaveUp, serve
from events.media.file_kind import look_at
from events.models import (
    MediaFile,
    OfficialAccount,
    RuleVersion,
    private_files,
    remove_with_files,
)
from events.models.job import LeaseLost
from events.numbers import number_in
from events.platform.client import client_for
from events.wechat import Reply
from events.wechat.api.custom_messages import (
    CustomMessage,
    ImageMessage,
    VideoMessage,
    VoiceMessage,
)

__all__ = [
    "add_file",
    "file_of",
    "files_of_references",
    "is_at_wechat",
    "keep_fresh",
    "message_of_file",
    "reference",
    "remove_file",
    "send_files",
    "used_in_rules",
    "with_media_id",
]

_PREFIX = "library:"
# The media_id of a file that WeChat does not have.
_NOT_AT_WECHAT = ""
# Longer than an upload may take.
_LEASE = datetime.timedelta(minutes=3)
# The fields in which replies and messages name a file; a thumbnail is a picture.
_FIELDS = ("media_id", "thumb_media_id")

_M = TypeVar("_M", bound=Reply | CustomMessage)


def reference(pk: int) -> str:
    """Returns the reference by which messages and rules name the file of this id."""
    return f"{_PREFIX}{pk}"


def file_of(written: str, account_id: int) -> MediaFile | None:
    """Returns the account's file that a reference names; None for a media_id or an unknown file."""
    number = _number_in(written)
    if number is None:
        return None
    return MediaFile.objects.filter(pk=number, account=account_id).first()


def files_of_references(written: Iterable[tuple[int, str]]) -> dict[tuple[int, str], MediaFile]:
    """Returns the files that these references name, by account and reference, with one query."""
    numbers = {
        (account_id, number): text
        for account_id, text in written
        if (number := _number_in(text)) is not None
    }
    if not numbers:
        return {}
    files = MediaFile.objects.filter(pk__in={number for _account, number in numbers})
    return {
        (file.account_id, numbers[file.account_id, file.pk]): file
        for file in files
        if (file.account_id, file.pk) in numbers
    }


def _number_in(written: str) -> int | None:
    """Returns the id of the file that a reference names; None for any other text."""
    return number_in(written.removeprefix(_PREFIX)) if written.startswith(_PREFIX) else None


def message_of_file(file: MediaFile) -> ImageMessage | VoiceMessage | VideoMessage:
    """Makes a message with this file; the file is uploaded when the message is sent."""
    match file.kind:
        case MediaFile.Kind.IMAGE:
            return ImageMessage(reference(file.pk))
        case MediaFile.Kind.VOICE:
            return VoiceMessage(reference(file.pk))
        case _:
            return VideoMessage(reference(file.pk), title=file.title)


def with_media_id(message: _M, account: OfficialAccount, *, may_send: bool = False) -> _M:
    """Replaces each reference in a reply or message by WeChat's media_id.

    With `may_send` it first uploads a file that WeChat lacks. Then call it outside a transaction;
    it raises `APIError`, or `GaveUp` if there is no such file. Without `may_send` the media_id of
    such a file is "", and is_at_wechat() of the result is false. The message of a video gets the
    video's poster.
    """
    found: dict[str, Any] = {
        name: _id_of(written, account, may_send=may_send)
        for name in _FIELDS
        if (written := getattr(message, name, "")).startswith(_PREFIX)
    }
    if isinstance(message, VideoMessage) and "media_id" in found and not message.thumb_media_id:
        video = file_of(message.media_id, account.pk)
        found["thumb_media_id"] = video.thumb_media_id if video is not None else ""
    return replace(message, **found) if found else message


def is_at_wechat(message: object) -> bool:
    """Whether WeChat has all files of a message that with_media_id() made."""
    return all(getattr(message, name, None) != _NOT_AT_WECHAT for name in _FIELDS)


def _id_of(written: str, account: OfficialAccount, *, may_send: bool) -> str:
    file = file_of(written, account.pk)
    media_id = file.id_at_wechat(timezone.now()) if file is not None else _NOT_AT_WECHAT
    if not media_id and file is not None and may_send:
        media_id = _send(file)
    if not media_id and may_send:
        raise GaveUp("media")
    return media_id


def send_files() -> int:
    """Uploads the due files to WeChat; returns how many (`serve`)."""
    return serve(MediaFile.objects.all(), _send_job, lease=_LEASE)


def keep_fresh() -> int:
    """Makes files due that live rules use and WeChat lacks or soon deletes; returns how many."""
    now = timezone.now()
    used = [pk for numbers in used_in_rules().values() for pk in numbers]
    return (
        MediaFile.objects.stale(now)
        .filter(pk__in=used, account__is_active=True)
        .update(due_at=now, attempts=0)
    )


def used_in_rules(account: OfficialAccount | None = None) -> dict[int, set[int]]:
    """Returns the ids of the files that published rules use, by account."""
    live = RuleVersion.objects.filter(is_live=True)
    if account is not None:
        live = live.filter(account=account)
    return {version.account_id: set(_numbers(version.rules)) for version in live}


def _numbers(part: object) -> Iterable[int]:
    """Yields the ids of all files that the data of rules refer to."""
    match part:
        case str():
            number = _number_in(part)
            if number is not None:
                yield number
        case dict():
            for value in part.values():
                yield from _numbers(value)
        case list():
            for value in part:
                yield from _numbers(value)


def add_file(account: OfficialAccount, title: str, content: bytes, *, by: Any) -> MediaFile:
    """Stores a file in the library; raises Unusable if WeChat would refuse it."""
    found = look_at(content)
    name = private_files().save(f"media/{found.kind}.{found.extension}", ContentFile(content))
    return MediaFile.objects.create(
        account=account,
        kind=found.kind,
        title=title,
        file=name,
        content_type=found.content_type,
        size=len(content),
        created_by=by,
        due_at=None,
    )


def remove_file(file: MediaFile) -> None:
    """Removes the row, and its files after the commit."""
    remove_with_files(MediaFile.objects.filter(pk=file.pk))


def _send_job(file: MediaFile) -> None:
    now = timezone.now()
    if not MediaFile.objects.finish(file, **_upload(file), uploaded_at=now):
        raise LeaseLost


def _send(file: MediaFile) -> str:
    now = timezone.now()
    ids = _upload(file)
    # If an operator gave the file another poster meanwhile, this changes nothing, and the next use
    # uploads the file again.
    MediaFile.objects.filter(pk=file.pk, poster=file.poster.name or "").update(
        **ids, uploaded_at=now
    )
    return ids["media_id"]


def _upload(file: MediaFile) -> dict[str, str]:
    """Uploads the file and its poster; returns the columns with their media ids."""
    upload = client_for(file.account).media.upload
    name = f"{file.kind}-{file.pk}.{file.path.rpartition('.')[2]}"
    ids = {"media_id": upload(file.kind, name, file.content_type, _content(file.path))}
    if poster := file.poster.name:
        content = _content(poster)
        ids["thumb_media_id"] = upload("thumb", f"poster-{file.pk}.jpg", "image/jpeg", content)
    return ids


def _content(name: str) -> bytes:
    with private_files().open(name) as opened:
        content: bytes = opened.read()
    return content

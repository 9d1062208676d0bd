"""Fetches files that followers sent, while WeChat still has them, and removes old ones.

A counter of the statistics notes the message, and the worker asks WeChat, so it costs the callback
nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.jobs.run import CALL_LEASE, GaveUp, serve
from events.log.retention_hooks import on_erasure
from events.media.file_kind import FileKind, Unusable, look_at
from events.models import EventLog, MediaFile, private_files, remove_with_files
from events.models.job import LeaseLost
from events.platform.client import client_for
from events.platform.failures import EXPLANATIONS
from events.platform.rights import able_accounts
from events.retention.bodies import body_limit
from events.stats.changes import Batch, counter
from events.wechat.api import APIError
from events.wechat.api.media import KEPT_DAYS, LIMITS
from subscribers.models import ReceivedMedia, Subscriber

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "fetch_media", "files_of", "note_media", "remove_old_media"]

FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    "request": _("WeChat does not have this file any more."),
    "too_late": _("WeChat keeps what followers send for three days; it was fetched too late."),
    "no_file": _("This is no picture, voice or video, or it is too large."),
}
_KINDS = frozenset({"image", "voice", "video", "shortvideo"})
_LARGEST = max(LIMITS.values())
_AVAILABLE = datetime.timedelta(days=KEPT_DAYS)
# How many files one call removes.
_PORTION = 500


@counter
def note_media(batch: Batch) -> None:
    """Makes a job for each message with a file in a batch of events."""
    found = {
        change.fact.pk: change.fact
        for change in batch.changes
        if change.fact.kind in _KINDS
        and change.fact.counted.is_event
        and change.fact.openid
        and change.fact.source == EventLog.Source.CALLBACK
        and change.fact.event_time > timezone.now() - _AVAILABLE
    }
    # Without an AppSecret WeChat gives no file, and a job for each would only fail.
    asked = able_accounts().filter(pk__in={fact.account_id for fact in found.values()})
    able = set(asked.values_list("pk", flat=True)) if found else set()
    found = {pk: fact for pk, fact in found.items() if fact.account_id in able}
    if not found:
        return
    people = Subscriber.objects.filter(
        openid__in={fact.openid for fact in found.values()}, erased_at=None
    )
    ids = {
        (account, openid): pk
        for account, openid, pk in people.values_list("account", "openid", "pk")
    }
    ReceivedMedia.objects.bulk_create(
        [
            ReceivedMedia(
                account_id=fact.account_id,
                subscriber_id=ids[fact.account_id, fact.openid],
                event_id=fact.pk,
                event_time=fact.event_time,
                kind=fact.kind,
            )
            for fact in found.values()
            if (fact.account_id, fact.openid) in ids
        ],
        ignore_conflicts=True,
    )


def fetch_media() -> int:
    """Fetches files that are due from WeChat; returns how many (`serve`)."""
    return serve(ReceivedMedia.objects.all(), _fetch, lease=CALL_LEASE)


def files_of(events: Collection[int]) -> dict[int, ReceivedMedia]:
    """The files of these messages, by event id."""
    return {media.event_id: media for media in ReceivedMedia.objects.filter(event_id__in=events)}


def remove_old_media() -> int:
    """Removes files of messages older than EVENT_BODY_RETENTION_DAYS; returns how many."""
    limit = body_limit(timezone.now())
    if limit is None:
        return 0
    return remove_with_files(ReceivedMedia.objects.filter(event_time__lt=limit)[:_PORTION])


@on_erasure
def remove_of_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Removes the files that an erased person sent."""
    names = (openid, pseudonym)
    remove_with_files(
        ReceivedMedia.objects.filter(subscriber__account=account_id, subscriber__openid__in=names)
    )


def _fetch(media: ReceivedMedia) -> None:
    if media.event_time <= timezone.now() - _AVAILABLE:
        raise GaveUp("too_late")
    event = EventLog.objects.filter(pk=media.event_id, event_time=media.event_time).first()
    media_id = str((event.payload or {}).get("MediaId", "")) if event is not None else ""
    if not media_id:
        raise GaveUp("no_file")
    content = client_for(media.account).media.get(media_id, most=_LARGEST).data
    try:
        found = look_at(content)
    except Unusable as error:
        raise GaveUp("no_file") from error
    poster = _poster_of(media, event) if found.kind == MediaFile.Kind.VIDEO else b""
    names = {"file": _keep(found, content), "poster": ""}
    if poster:
        names["poster"] = _keep(look_at(poster), poster)
    if not ReceivedMedia.objects.finish(media, **names, content_type=found.content_type):
        # The follower was erased meanwhile, or another worker has the job.
        for name in filter(None, names.values()):
            private_files().delete(name)
        raise LeaseLost


def _poster_of(media: ReceivedMedia, event: EventLog | None) -> bytes:
    """The preview picture of a video; b"" if there is none, since the video works without it."""
    thumb = str((event.payload or {}).get("ThumbMediaId", "")) if event is not None else ""
    if not thumb:
        return b""
    try:
        content = client_for(media.account).media.get(thumb, most=LIMITS["image"]).data
        return content if look_at(content).kind == MediaFile.Kind.IMAGE else b""
    except (APIError, Unusable):
        return b""


def _keep(found: FileKind, content: bytes) -> str:
    """Stores a file and returns its name."""
    return private_files().save(f"received/{found.kind}.{found.extension}", ContentFile(content))

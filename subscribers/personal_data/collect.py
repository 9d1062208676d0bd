"""Collects all that this site knows of one person, for the person to read (个人信息副本)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from events.kinds import label
from events.models import EventLog, OfficialAccount
from events.retention.archive import archives, event_of
from subscribers.models import (
    Binding,
    BindingScan,
    CarriedOverState,
    Conversation,
    OutgoingMessage,
    ReceivedMedia,
    Subscriber,
)

__all__ = ["Source", "collect", "personal_data"]

# Takes an account and an OpenID; gives rows as JSON values.
Source = Callable[[OfficialAccount, str], Iterator[dict[str, Any]]]
_sources: dict[str, Source] = {}

_BATCH = 500
# Columns that say only how this site works, and nothing about the person.
_INTERNAL_COLUMNS = frozenset(
    {
        *("id", "account", "subscriber", "request", "sign_in", "binding"),
        *("dedup_key", "raw", "lease"),
        *("leased_until", "attempts", "next_attempt_at", "is_carried_over", "updated_hour"),
        *("first_scene_key", "last_scene_key", "listed_in", "due_at", "scene", "ticket"),
        *("assigned_to", "last_kind"),
    }
)


def personal_data(name: str) -> Callable[[Source], Source]:
    """Registers a source of rows about a person; `name` is its name in the export."""

    def register(source: Source) -> Source:
        _sources[name] = source
        return source

    return register


def collect(account: OfficialAccount, openid: str) -> dict[str, Any]:
    """Every row about one person, by table, as JSON values; an empty list for an empty table."""
    return {
        "account": account.slug,
        "account_name": account.name,
        "openid": openid,
        "made_at": timezone.now().astimezone(datetime.UTC).isoformat(timespec="seconds"),
        **{name: list(source(account, openid)) for name, source in _sources.items()},
    }


def _values(row: Model) -> dict[str, Any]:
    said = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.name if not field.is_relation else field.attname)
        if field.name not in _INTERNAL_COLUMNS and value not in (None, ""):
            said[field.name] = _json(value)
    return said


def _json(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat()
    return value


@personal_data("follower")
def _follower(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    for row in Subscriber.objects.filter(account=account, openid=openid):
        yield _values(row)


@personal_data("carried_over")
def _carried_over(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    for row in CarriedOverState.objects.filter(account=account, openid=openid):
        yield _values(row)


@personal_data("events")
def _events(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    rows = EventLog.objects.filter(account=account).with_openid(openid).order_by("event_time", "pk")
    for event in rows.iterator(chunk_size=_BATCH):
        yield _of_event(event)


def _of_event(event: EventLog) -> dict[str, Any]:
    return _values(event) | {
        "what": label(event.kind),
        "event_key": event.masked(event.event_key),
        "scene": event.masked(event.scene),
        "reply": event.masked(event.reply),
        "payload": event.masked_payload(event.payload),
    }


@personal_data("archived_events")
def _archived_events(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    folder = settings.EVENT_ARCHIVE_DIR
    if not folder or not Path(folder).is_dir():
        return
    for archive in archives(Path(folder)):
        here = {pk: account.pk for pk, slug in archive.accounts.items() if slug == account.slug}
        for record in archive.records():
            if (
                record["openid"] == openid
                and record["account_id"] in here
                and not EventLog.objects.filter(pk=record["id"]).exists()
            ):
                yield _of_event(event_of(record, here, was_removed=True))


@personal_data("messages")
def _messages(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    rows = OutgoingMessage.objects.filter(subscriber__account=account, subscriber__openid=openid)
    for message in rows.order_by("pk").iterator(chunk_size=_BATCH):
        yield _values(message) | {"payload": message.payload}


@personal_data("conversations")
def _conversations(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    rows = Conversation.objects.filter(subscriber__account=account, subscriber__openid=openid)
    for row in rows:
        notes = row.notes.order_by("pk").values_list("at", "text")
        yield _values(row) | {"notes": [{"at": _json(at), "text": text} for at, text in notes]}


@personal_data("files")
def _files(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    """The files that the person sent; their contents are on the conversation's page."""
    rows = ReceivedMedia.objects.filter(subscriber__account=account, subscriber__openid=openid)
    for media in rows.order_by("pk").iterator(chunk_size=_BATCH):
        yield {
            "kind": media.kind,
            "event_time": _json(media.event_time),
            "content_type": media.content_type,
        }


@personal_data("bindings")
def _bindings(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    rows = Binding.objects.filter(subscriber__account=account, subscriber__openid=openid)
    for binding in rows.select_related("user").order_by("bound_at"):
        yield _values(binding) | {"user": binding.user.get_username() if binding.user else None}


@personal_data("binding_scans")
def _binding_scans(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    rows = BindingScan.objects.filter(subscriber__account=account, subscriber__openid=openid)
    for scan in rows.order_by("pk"):
        yield _values(scan)

"""The filters of the list of events."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django_filters.rest_framework import FilterSet

from events.api.name_filters import EventNameFilter, KindsFilter, SceneFilter
from events.api.strict_filters import (
    LARGEST_ID,
    AccountFilter,
    ExactFilter,
    MomentFilter,
    OpenIDFilter,
    TruthFilter,
    TypedFilter,
    ValuesFilter,
)
from events.models import EventLog
from events.models.event_log import EventLogQuerySet

__all__ = ["EventFilter"]


class _IdField(forms.RegexField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"\A[0-9]{1,18}\Z", strip=False, **kwargs)


class _IdFilter(TypedFilter, django_filters.Filter):
    field_class = _IdField
    schema = {"type": "integer", "format": "int64", "minimum": 0, "maximum": LARGEST_ID}


class EventFilter(FilterSet):
    account = AccountFilter()
    kind = KindsFilter(
        method="by_kind",
        label="Normalised kinds: `event.subscribe`, `text`, …, with commas between them.",
    )
    source = ValuesFilter(
        method="by_source",
        choices=EventLog.Source.choices,
        label="`callback` for pushes; `import` and `reconcile` for what WeChat answered.",
    )
    msg_type = EventNameFilter(
        method="by_msg_type",
        place=0,
        rows=lambda name: EventLog.objects.with_msg_type(name),
        label="MsgType, in any letter case.",
    )
    event = EventNameFilter(
        method="by_event",
        place=1,
        rows=lambda name: EventLog.objects.with_event(name),
        label="Event: `subscribe`, `SCAN`, …, in any letter case.",
    )
    event_key = ExactFilter(method="by_event_key", label="EventKey: a menu key or URL.")
    scene = SceneFilter(method="by_scene", label="Scene of a QR code, without `qrscene_`.")
    openid = OpenIDFilter(method="by_openid", label="The follower.")
    status = ValuesFilter(
        choices=EventLog.Status.choices, method="by_status", label="What became of the event."
    )
    mended = TruthFilter("mended", label="Whether a field of the body was broken, and mended.")
    event_time_after = MomentFilter("event_time", "gte", label="CreateTime, from then on.")
    event_time_before = MomentFilter("event_time", "lt", label="CreateTime, before then.")
    received_after = MomentFilter("received_at", "gte", label="Received, from then on.")
    received_before = MomentFilter("received_at", "lt", label="Received, before then.")
    after_id = _IdFilter(
        "id",
        "gt",
        label="Turns the list round: ascending by id, from the one after this. Each row comes once "
        "and none is skipped. `next` is always there, to be asked again later.",
    )

    class Meta:
        model = EventLog
        fields: list[str] = []

    def by_kind(self, events: EventLogQuerySet, name: str, value: list[str]) -> EventLogQuerySet:
        return events.with_kinds(sorted(value)) if value else events

    def by_source(self, events: EventLogQuerySet, name: str, value: list[str]) -> EventLogQuerySet:
        return events.with_sources(value) if value else events

    def by_msg_type(self, events: EventLogQuerySet, name: str, value: str) -> EventLogQuerySet:
        return events.with_msg_type(value)

    def by_event(self, events: EventLogQuerySet, name: str, value: str) -> EventLogQuerySet:
        return events.with_event(value)

    def by_event_key(self, events: EventLogQuerySet, name: str, value: str) -> EventLogQuerySet:
        return events.with_event_key(value)

    def by_scene(self, events: EventLogQuerySet, name: str, value: str) -> EventLogQuerySet:
        return events.with_scene(value)

    def by_openid(self, events: EventLogQuerySet, name: str, value: str) -> EventLogQuerySet:
        return events.with_openid(value)

    def by_status(self, events: EventLogQuerySet, name: str, value: list[str]) -> EventLogQuerySet:
        return events.with_statuses(value) if value else events

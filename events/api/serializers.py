"""Serializers of accounts and events, and the strictness that all serializers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.settings import api_settings

from events.api.openapi.examples import ACCOUNT, EVENT, EVENT_DETAIL, of_answer
from events.models import EventLog, OfficialAccount

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "AccountSerializer",
    "EventDetailSerializer",
    "EventSerializer",
    "NoFieldsSerializer",
    "StrictFields",
]


class StrictFields:
    """For serializers: answers 400 to an unknown field of the body, since it may be misspelt."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {api_settings.NON_FIELD_ERRORS_KEY: [_("The body must be a JSON object.")]},
                code="not_an_object",
            )
        fields: Mapping[str, serializers.Field] = self.fields  # type: ignore[attr-defined,type-arg]
        known = {name for name, field in fields.items() if not field.read_only}
        unknown = sorted(str(name) for name in set(data) - known)
        if unknown:
            sentence = _("There is no such field.")
            raise serializers.ValidationError(
                {name: [sentence] for name in unknown}, code="unknown"
            )
        mistyped = {
            name: wrong
            for name, field in fields.items()
            if name in data and (wrong := _mistyped(field, data[name]))
        }
        if mistyped:
            raise serializers.ValidationError(mistyped)
        return super().to_internal_value(data)  # type: ignore[misc]


# DRF accepts "5" for 5, 5 for "5" and "yes" for true. That could store a misunderstanding.
_TYPES: tuple[tuple[type[Any], Callable[[Any], bool], StrOrPromise], ...] = (
    (serializers.BooleanField, lambda value: isinstance(value, bool), _("Give true or false.")),
    (
        serializers.IntegerField,
        lambda value: type(value) is int or (isinstance(value, float) and value.is_integer()),
        _("Give a whole number."),
    ),
    (serializers.CharField, lambda value: isinstance(value, str), _("Give a text.")),
)


def _mistyped(field: Any, value: Any) -> Any:
    """Returns the errors of a value of another JSON type; the field itself checks null."""
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        wrong = {place: _mistyped(field.child, part) for place, part in enumerate(value)}
        return {place: errors for place, errors in wrong.items() if errors}
    if getattr(field, "takes_numbers", False) and type(value) is int:
        return []
    for kind, is_right, sentence in _TYPES:
        if isinstance(field, kind) and value is not None and not is_right(value):
            return [sentence]
    return []


class NoFieldsSerializer(StrictFields, serializers.Serializer[Any]):
    """The body of a request that takes none."""


@extend_schema_serializer(examples=[of_answer(ACCOUNT)])
class AccountSerializer(serializers.ModelSerializer[OfficialAccount]):
    class Meta:
        model = OfficialAccount
        fields = [
            "slug", "name", "original_id", "app_id", "security_mode", "time_zone", "is_active",
            "created_at",
        ]  # fmt: skip


@extend_schema_serializer(examples=[of_answer(EVENT)])
class EventSerializer(serializers.ModelSerializer[EventLog]):
    """An event as it may be shown: one-time binding scenes and their tickets are masked."""

    account = serializers.SlugRelatedField[OfficialAccount](slug_field="slug", read_only=True)
    payload = serializers.SerializerMethodField(
        help_text="The parsed body; null when it cannot be read."
    )

    class Meta:
        model = EventLog
        fields = [
            "id", "account", "source", "kind", "msg_type", "event", "event_key", "scene", "ticket",
            "msg_id", "openid", "event_time", "received_at", "delivery_count", "status", "error",
            "mended", "payload",
        ]  # fmt: skip

    @extend_schema_field({"type": "object", "nullable": True, "additionalProperties": True})
    def get_payload(self, event: EventLog) -> dict[str, Any] | None:
        payload = event.payload
        return None if payload is None else event.masked_payload(payload)

    def to_representation(self, event: EventLog) -> dict[str, Any]:
        shown = super().to_representation(event)
        for name in ("openid", "event_key", "scene", "ticket"):
            if shown.get(name):
                shown[name] = event.masked(shown[name])
        for name in ("error", "raw", "reply"):
            if shown.get(name):
                shown[name] = event.masked_content(shown[name])
        return shown


@extend_schema_serializer(examples=[of_answer(EVENT_DETAIL)])
class EventDetailSerializer(EventSerializer):
    raw = serializers.SerializerMethodField(help_text="The body as received, decrypted, as text.")

    class Meta(EventSerializer.Meta):
        fields = [
            *EventSerializer.Meta.fields, "raw", "reply", "answered_at", "answered_by", "is_cut"
        ]  # fmt: skip

    def get_raw(self, event: EventLog) -> str:
        return bytes(event.raw).decode("utf-8", errors="replace")

"""Filters that refuse what they do not know: a misspelt one must not return everything."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import PermissionDenied, ValidationError

from events.models import EventLog, OfficialAccount
from events.models.event_log import EventLogQuerySet
from events.viewer import may_see_openids, visible_to

if TYPE_CHECKING:
    from rest_framework.views import APIView

__all__ = [
    "NOT_FILTERS",
    "ORDERING",
    "AccountFilter",
    "EventFilter",
    "ExactFilter",
    "MomentFilter",
    "OpenIDFilter",
    "StrictFilterBackend",
    "TruthFilter",
    "ValuesFilter",
]

_BOOLEANS = [("true", "true"), ("false", "false")]

ORDERING = "ordering"
NOT_FILTERS = {"cursor", "format", "page_size"}


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter's backend that answers 400 to a parameter nobody knows."""

    def filter_queryset(
        self, request: HttpRequest, queryset: QuerySet[Any], view: APIView
    ) -> QuerySet[Any]:
        filterset_class = self.get_filterset_class(view, queryset)
        filters = set(filterset_class.base_filters) if filterset_class else set()
        known = set() if view.detail else filters | NOT_FILTERS | {ORDERING}  # type: ignore[attr-defined]
        unknown = sorted(set(request.GET) - known)
        if unknown:
            sentence = _("There is no such filter.")
            raise ValidationError({name: [sentence] for name in unknown}, code="unknown")
        twice = sorted(name for name in known if len(request.GET.getlist(name)) > 1)
        if twice:
            raise ValidationError({name: [_("Give this once.")] for name in twice}, code="repeated")
        empty = sorted(name for name in filters & set(request.GET) if not request.GET[name])
        if empty:
            sentence = _("Give a value, or leave this out.")
            raise ValidationError({name: [sentence] for name in empty}, code="empty")
        return super().filter_queryset(request, queryset, view)


class _ExactField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, max_length=2000, **kwargs)


class ExactFilter(django_filters.CharFilter):
    """The exact text; white space counts."""

    field_class = _ExactField


class _ValuesField(forms.CharField):
    """Texts with commas between them, as a list without repetitions."""

    def __init__(self, choices: Sequence[tuple[str, Any]] = (), **kwargs: Any) -> None:
        super().__init__(strip=False, max_length=2000, **kwargs)
        self.allowed = {str(value) for value, _label in choices}

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value)
        parts = list(dict.fromkeys(text.split(","))) if text else []
        if "" in parts:
            raise forms.ValidationError(_("There is an empty value."), code="empty")
        for part in parts:
            if self.allowed and part not in self.allowed:
                sentence = _("One of %s.") % ", ".join(sorted(self.allowed))
                raise forms.ValidationError(sentence, code="invalid_choice")
        return parts


class ValuesFilter(django_filters.BaseCSVFilter):
    """Any of the values, with commas between them."""

    field_class = _ValuesField

    def __init__(
        self,
        field_name: str | None = None,
        *,
        choices: Sequence[tuple[str, Any]] = (),
        label: str = "",
        **kwargs: Any,
    ) -> None:
        if choices:
            kwargs["choices"] = choices
        # BaseCSVFilter's own would make another field.
        django_filters.Filter.__init__(self, field_name, lookup_expr="in", label=label, **kwargs)
        item: dict[str, Any] = {"type": "string", "description": label}
        if choices:
            item["enum"] = [str(value) for value, _label in choices]
        extend_schema_field(item)(self)  # type: ignore[type-var]


class _MomentField(forms.CharField):
    def clean(self, value: Any) -> datetime.datetime | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            # A "+" that was not escaped arrives as a space.
            whole = text.replace(" ", "+") if "T" in text else text
            moment = datetime.datetime.fromisoformat(whole)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            return moment.astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            raise forms.ValidationError(
                _("Enter a time in ISO 8601, such as 2026-11-23T08:00:00Z.")
            ) from None


class _OpenIDField(_ExactField):
    def clean(self, value: Any) -> Any:
        openid = super().clean(value)
        if openid and not may_see_openids():
            raise PermissionDenied(_("Your rights do not include OpenIDs in clear."))
        return openid


class OpenIDFilter(ExactFilter):
    """A follower's OpenID, for those who may see OpenIDs: the answer would confirm a guess."""

    field_class = _OpenIDField


class AccountFilter(ValuesFilter):
    """Accounts by their handles, looked up first.

    Joined to the accounts instead, PostgreSQL could not tell how many rows this one has.
    """

    def __init__(self) -> None:
        super().__init__("account", label="Handles of accounts, with commas between them.")

    def filter(self, qs: QuerySet[Any], value: list[str]) -> QuerySet[Any]:
        if not value:
            return qs
        found = OfficialAccount.objects.filter(slug__in=value)
        visible = visible_to(self.parent.request.user, found, "pk")  # type: ignore[attr-defined]
        ids = sorted(visible.values_list("pk", flat=True))
        if len(ids) < len(value):
            sentence = _("There is no such account.")
            raise ValidationError({"account": [sentence]}, code="does_not_exist")
        return qs.filter(account=ids[0]) if len(ids) == 1 else qs.filter(account__in=ids)


class TruthFilter(django_filters.TypedChoiceFilter):
    """`true` or `false`, and nothing that one would have to guess at."""

    def __init__(self, field_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(
            field_name, choices=_BOOLEANS, coerce=lambda value: value == "true", **kwargs
        )


class MomentFilter(django_filters.Filter):
    """A time in ISO 8601; without an offset it is UTC."""

    field_class = _MomentField


class _IdField(forms.RegexField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"\A[0-9]{1,18}\Z", strip=False, **kwargs)


class _IdFilter(django_filters.Filter):
    field_class = _IdField


class EventFilter(FilterSet):
    account = AccountFilter()
    kind = ValuesFilter(
        method="by_kind",
        label="Normalised kinds: `event.subscribe`, `text`, …, with commas between them.",
    )
    source = ValuesFilter(
        method="by_source",
        choices=EventLog.Source.choices,
        label="`callback` for pushes; `import` and `reconcile` for what WeChat answered.",
    )
    msg_type = ExactFilter(method="by_msg_type", label="MsgType, in any letter case.")
    event = ExactFilter(
        method="by_event", label="Event: `subscribe`, `SCAN`, …, in any letter case."
    )
    event_key = ExactFilter(method="by_event_key", label="EventKey: a menu key or URL.")
    scene = ExactFilter(method="by_scene", label="QR scene, without `qrscene_`.")
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

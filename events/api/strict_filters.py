"""Filters that refuse unknown parameters, because a misspelt filter must not return everything."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import PermissionDenied, ValidationError

from events.models import OfficialAccount
from events.viewer import may_see_openids, visible_to

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise
    from rest_framework.views import APIView

__all__ = [
    "LARGEST_ID",
    "NOT_FILTERS",
    "ORDERING",
    "AccountFilter",
    "ExactFilter",
    "MomentFilter",
    "OpenIDFilter",
    "StrictFilterBackend",
    "TruthFilter",
    "TypedFilter",
    "ValuesFilter",
    "check_parameters",
]

_BOOLEANS = [("true", "true"), ("false", "false")]

ORDERING = "ordering"
NOT_FILTERS = {"cursor", "format", "page_size"}


def check_parameters(
    request: HttpRequest, known: Collection[str], sentence: StrOrPromise = ""
) -> None:
    """Raises ValidationError for unknown parameters, and for those given twice."""
    unknown = sorted(set(request.GET) - set(known))
    if unknown:
        unknown_is = [sentence or _("There is no such parameter.")]
        raise ValidationError(dict.fromkeys(unknown, unknown_is), code="unknown")
    twice = sorted(name for name in request.GET if len(request.GET.getlist(name)) > 1)
    if twice:
        raise ValidationError({name: [_("Give this once.")] for name in twice}, code="repeated")


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter's backend, but it answers 400 to an unknown parameter."""

    def filter_queryset(
        self, request: HttpRequest, queryset: QuerySet[Any], view: APIView
    ) -> QuerySet[Any]:
        filterset_class = self.get_filterset_class(view, queryset)
        filters = set(filterset_class.base_filters) if filterset_class else set()
        # ReadViewSet checks the parameters of addresses that are not lists.
        if not view.detail:  # type: ignore[attr-defined]
            known = filters | NOT_FILTERS | {ORDERING}
            check_parameters(request, known, _("There is no such filter."))
        empty = sorted(name for name in filters & set(request.GET) if not request.GET[name])
        if empty:
            sentence = _("Give a value, or leave this out.")
            raise ValidationError({name: [sentence] for name in empty}, code="empty")
        return super().filter_queryset(request, queryset, view)


_LONGEST_TEXT = 2000
# The largest id in an address, by its number of digits.
LARGEST_ID = 10**18 - 1


class TypedFilter:
    """For filters: declares the parameter's type in the OpenAPI schema."""

    schema: ClassVar[dict[str, Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label = kwargs.get("label")
        described = {"description": label} if label else {}
        extend_schema_field(self.schema | described)(self)  # type: ignore[type-var]


class _ExactField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, max_length=_LONGEST_TEXT, **kwargs)


class ExactFilter(TypedFilter, django_filters.CharFilter):
    """The exact text; white space counts."""

    field_class = _ExactField
    schema = {"type": "string", "minLength": 1, "maxLength": _LONGEST_TEXT}


class _ValuesField(forms.CharField):
    """Texts with commas between them, as a list without repetitions."""

    def __init__(self, choices: Sequence[tuple[str, Any]] = (), **kwargs: Any) -> None:
        super().__init__(strip=False, max_length=_LONGEST_TEXT, **kwargs)
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
        # BaseCSVFilter.__init__ would make another field.
        django_filters.Filter.__init__(self, field_name, lookup_expr="in", label=label, **kwargs)
        item: dict[str, Any] = {"type": "string", "description": label}
        if choices:
            item["enum"] = [str(value) for value, _label in choices]
        else:
            item["pattern"] = "^[^,]+$"
        extend_schema_field(item)(self)  # type: ignore[type-var]


class _MomentField(forms.CharField):
    def clean(self, value: Any) -> datetime.datetime | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            # A "+" without escaping arrives as a space.
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
    """A follower's OpenID, only for users who may see OpenIDs: an answer would confirm a guess."""

    field_class = _OpenIDField


class AccountFilter(ValuesFilter):
    """Accounts by their handles, which are looked up first.

    With a join to the accounts instead, PostgreSQL could not estimate how many rows match.
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


class TruthFilter(TypedFilter, django_filters.TypedChoiceFilter):
    """Only `true` or `false`, no other spelling."""

    schema = {"type": "boolean"}

    def __init__(self, field_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(
            field_name, choices=_BOOLEANS, coerce=lambda value: value == "true", **kwargs
        )


class MomentFilter(TypedFilter, django_filters.Filter):
    """A time in ISO 8601; without an offset it is UTC."""

    schema = {"type": "string", "format": "date-time"}

    field_class = _MomentField

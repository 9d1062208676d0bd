"""Makes the OpenAPI schema: in English, with the parts that all operations share."""

from __future__ import annotations

import json
from typing import Any

from django.utils import translation
from drf_spectacular.drainage import get_override
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.utils.encoders import JSONEncoder

from events.api.openapi.examples import CSV, NDJSON
from events.api.pagination import NewestFirstPagination, orderings
from events.api.requests.idempotency import HEADER, LONGEST, IdempotentPosts
from events.api.requests.problems import CONTENT_TYPE, problem_content
from events.api.strict_filters import LARGEST_ID, ORDERING
from events.spreadsheets import csv_parts

__all__ = ["ApiSchema", "EnglishSchema", "without_defaults_of_answers"]


class EnglishSchema(SchemaGenerator):
    """The schema in English for every reader: generated clients must not depend on a language.

    One of SPECTACULAR_SETTINGS.
    """

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        with translation.override("en"):
            schema: Any = super().get_schema(request, public)  # type: ignore[no-untyped-call]
            # Some sentences are translated only when they become text, so do that here.
            written: dict[str, Any] = json.loads(json.dumps(schema, cls=JSONEncoder))
        return written


class FieldErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs; it stays the same.")
    detail = serializers.CharField(help_text="For people, in the language of Accept-Language.")


class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="For programs; it stays the same.")
    detail = serializers.CharField(help_text="For people, in the language of Accept-Language.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=FieldErrorSerializer()),
        required=False,
        help_text="By field or parameter, for the code `invalid`.",
    )


class ApiSchema(AutoSchema):
    """Adds refusals with examples, Idempotency-Key, and the orders of lists."""

    def get_override_parameters(self) -> list[Any]:
        if self.method == "POST" and isinstance(self.view, IdempotentPosts):
            name = {"type": "string", "minLength": 1, "maxLength": LONGEST}
            return [
                OpenApiParameter(
                    HEADER,
                    name | {"pattern": "^[ -~]+$"},
                    OpenApiParameter.HEADER,
                    description="A name of your choice, 1 to 255 characters. Sent again with the "
                    "same name and body within 24 hours, the request acts once.",
                )
            ]
        if self._has_order():
            view: Any = self.view
            columns = orderings(view, view.get_queryset().model)
            return [
                OpenApiParameter(
                    ORDERING,
                    OpenApiTypes.STR,
                    enum=[f"{sign}{name}" for name in columns for sign in ("", "-")],
                    description="Ascending, or descending with `-`. With a filter by a time only "
                    "this time.",
                )
            ]
        return []

    def get_operation_id(self) -> str:
        # The address of a picture contains a dot, which names in generated clients cannot have.
        return str(super().get_operation_id()).replace(".", "_")

    def get_filter_backends(self) -> list[Any]:
        if self._is_export():
            view: Any = self.view
            return list(view.filter_backends)
        return list(super().get_filter_backends())

    def _resolve_path_parameters(self, variables: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]
        for parameter in parameters:
            if parameter["name"] == "id":
                parameter["schema"] = {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "maximum": LARGEST_ID,
                }
        return parameters

    def _is_export(self) -> bool:
        return getattr(self.view, "action", "") == "export"

    def _map_serializer_field(
        self, field: Any, direction: Any, bypass_extensions: bool = False
    ) -> dict[str, Any]:
        # DRF loses `allow_blank` of a read-only field.
        if isinstance(field, serializers.ChoiceField) and field.read_only and _may_be_blank(field):
            field.allow_blank = True
        mapped: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        return mapped

    def _has_cursor(self) -> bool:
        paginator = self._get_paginator()  # type: ignore[no-untyped-call]
        return self._is_list_view() and isinstance(paginator, NewestFirstPagination)

    def _has_order(self) -> bool:
        view: Any = self.view
        return self._has_cursor() and not view.detail

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        refusals = {400, 401, 403, 406, 429} | getattr(self.view, "refusals", set())
        if "{" in self.path or self._has_cursor():
            refusals.add(404)
        if self.method in {"POST", "PATCH"}:
            refusals |= {413, 415}
        if self.method == "POST":
            refusals |= {409, 422}
        for status in sorted(refusals):
            if str(status) not in bodies:
                bodies[str(status)] = self._refusal(status, direction)
        for kind, content in bodies.get("200", {}).get("content", {}).items():
            if kind in {CSV, NDJSON} and "examples" not in content:
                content["examples"] = {"example": {"value": self._exported(kind)}}
        return bodies

    def _exported(self, kind: str) -> str:
        """Returns the example of the list's rows in the form of its export."""
        view: Any = self.view
        (example,) = get_override(view.get_serializer(), "examples")
        if kind == CSV:
            return b"".join(csv_parts([example.value], list(example.value))).decode()
        return json.dumps(example.value, ensure_ascii=False, separators=(",", ":")) + "\n"

    def _refusal(self, status: int, direction: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._get_response_for_code(  # type: ignore[no-untyped-call]
            ProblemSerializer, str(status), [CONTENT_TYPE], direction
        )
        with translation.override("en"):
            example = json.loads(problem_content(status))
        answer["content"][CONTENT_TYPE]["examples"] = {example["code"]: {"value": example}}
        answer["description"] = example["title"]
        return answer


def _may_be_blank(field: Any) -> bool:
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    column = {each.name: each for each in model._meta.fields}.get(field.source) if model else None
    return bool(column is not None and column.blank)


def without_defaults_of_answers(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Removes defaults of read-only fields, because "" is not among an enumeration's values.

    One of SPECTACULAR_SETTINGS' POSTPROCESSING_HOOKS.
    """
    for component in result["components"]["schemas"].values():
        for field in component.get("properties", {}).values():
            if field.get("readOnly"):
                field.pop("default", None)
    return result

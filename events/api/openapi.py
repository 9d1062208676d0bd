"""What every operation of the API has in its OpenAPI schema besides what its view says."""

from __future__ import annotations

import json
from typing import Any

from django.utils import translation
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from events.api.filters import ORDERING
from events.api.idempotency import HEADER, IdempotentPosts
from events.api.pagination import NewestFirstPagination, orderings
from events.api.problems import CONTENT_TYPE, problem_content

__all__ = ["ApiSchema", "without_defaults_of_answers"]


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
            return [
                OpenApiParameter(
                    HEADER,
                    OpenApiTypes.STR,
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

    def _has_order(self) -> bool:
        paginator = self._get_paginator()  # type: ignore[no-untyped-call]
        return self._is_list_view() and isinstance(paginator, NewestFirstPagination)

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        refusals = [400, 401, 403, 406, 429]
        if self.method == "GET" or "{" in self.path:
            refusals.append(404)
        if self.method == "POST":
            refusals += [409, 415, 422]
        for status in sorted(refusals):
            if str(status) not in bodies:
                bodies[str(status)] = self._refusal(status, direction)
        return bodies

    def _refusal(self, status: int, direction: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._get_response_for_code(  # type: ignore[no-untyped-call]
            ProblemSerializer, str(status), [CONTENT_TYPE], direction
        )
        with translation.override("en"):
            example = json.loads(problem_content(status))
        answer["content"][CONTENT_TYPE]["examples"] = {example["code"]: {"value": example}}
        answer["description"] = example["title"]
        return answer


def without_defaults_of_answers(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Removes defaults of fields that only answers have: "" is none of an enumeration's values.

    One of SPECTACULAR_SETTINGS' POSTPROCESSING_HOOKS.
    """
    for component in result["components"]["schemas"].values():
        for field in component.get("properties", {}).values():
            if field.get("readOnly"):
                field.pop("default", None)
    return result

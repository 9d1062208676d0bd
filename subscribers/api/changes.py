"""`changes/`: one address with all changes, for a reader that keeps a copy of everything."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.openapi.examples import answer
from events.api.pagination import RETRY_AFTER
from events.api.requests.authentication import carries
from events.api.strict_filters import check_parameters
from events.api.views import EventViewSet
from events.audit.record import record_look_at_list
from events.models import ApiKey
from events.viewer import account_ids
from subscribers.api import examples
from subscribers.api.change_feed import TYPES, Change, Expired, Position, Reader, read_changes
from subscribers.api.views import (
    BindingViewSet,
    OutgoingMessageViewSet,
    QRSceneViewSet,
    SubscriberViewSet,
)

__all__ = ["ChangesView"]

_LISTS: dict[str, Any] = {
    "event": EventViewSet,
    "subscriber": SubscriberViewSet,
    "binding": BindingViewSet,
    "message": OutgoingMessageViewSet,
    "scene": QRSceneViewSet,
}
_PARAMETERS = {"after", "types", "page_size", "format"}
_SMALLEST, _USUAL, _LARGEST = 10, 100, 1000


class CursorExpired(APIException):
    status_code = status.HTTP_410_GONE
    default_code = "cursor_expired"
    default_detail = _("This cursor is older than 30 days. Begin anew, without `after`.")


class ChangesView(APIView):
    """All rows that are new or changed since `after`, each at least once and none missed.

    Begin without `after`, follow `next`, and store it: continue from there, now or later. If
    `results` is empty, ask again later. A row has the fields of its list; `object` is null if the
    row was deleted. While a long transaction holds up some of the types, `settled` is false and the
    answer has Retry-After.
    """

    refusals: ClassVar[frozenset[int]] = frozenset({410})

    def check_permissions(self, request: Request) -> None:
        if not isinstance(request.auth, ApiKey):
            self.permission_denied(request)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(datetime.UTC):
            return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        parameters=[
            OpenApiParameter("after", str, description="Where to go on, as `next` has it."),
            OpenApiParameter(
                "types",
                {"type": "array", "items": {"type": "string", "enum": list(TYPES)}, "minItems": 1},
                explode=False,
                style="form",
                description=f"Any of {', '.join(TYPES)}, with commas between them; by default all "
                "that the key may read.",
            ),
            OpenApiParameter(
                "page_size",
                {"type": "integer", "minimum": _SMALLEST, "maximum": _LARGEST},
                default=_USUAL,
                description=f"From {_SMALLEST} to {_LARGEST}. A page may have fewer rows and still "
                "not be the last.",
            ),
        ],
        responses=answer(
            inline_serializer(
                "Changes",
                {
                    "next": serializers.URLField(),
                    "settled": serializers.BooleanField(),
                    "results": inline_serializer(
                        "Change",
                        {
                            "type": serializers.ChoiceField(choices=TYPES),
                            "id": serializers.IntegerField(),
                            "object": serializers.DictField(allow_null=True),
                        },
                        many=True,
                    ),
                },
            ),
            {
                "next": "https://wechat.example.com/api/v1/changes/?after=WzE3&types=binding",
                "settled": True,
                "results": [{"type": "binding", "id": 5, "object": examples.BINDING}],
            },
        ),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        check_parameters(request._request, _PARAMETERS)
        position = _position(query.get("after"))
        types = self._types(query.get("types"), position)
        views = {type_: self._list_of(type_) for type_ in types}

        def rows(type_: str) -> QuerySet[Any]:
            found: QuerySet[Any] = views[type_].get_queryset()
            return found

        reader = Reader(rows, account_ids(request.user))
        size = _page_size(query.get("page_size"))
        try:
            changes, following, held_up = read_changes(
                position, types, reader, size=size, now=timezone.now()
            )
        except Expired:
            raise CursorExpired from None
        for type_ in {change.type for change in changes}:
            if views[type_].holds_personal_data:
                record_look_at_list(views[type_].queryset.model, ["changes"])
        address = request.build_absolute_uri(request.path)
        pages = f"&page_size={query['page_size']}" if "page_size" in query else ""
        response = Response(
            {
                "next": f"{address}?after={following}&types={','.join(types)}{pages}",
                "settled": not held_up,
                "results": _shown(changes, views),
            }
        )
        if held_up:
            response["Retry-After"] = str(RETRY_AFTER)
        return response

    def _types(self, written: str | None, position: Position | None) -> list[str]:
        """The types in the order of `TYPES`. Raises ValidationError, PermissionDenied."""
        if written is None:
            wanted = [type_ for type_ in TYPES if position is None or type_ in position.states]
            may_read = [type_ for type_ in wanted if self._may_read(type_)]
            if not may_read or (position and may_read != wanted):
                self.permission_denied(self.request)
            return may_read
        given = written.split(",")
        if not set(given) <= set(TYPES):
            sentence = _("One of %s.") % ", ".join(TYPES)
            raise ValidationError({"types": [sentence]}, code="invalid_choice")
        for type_ in given:
            if not self._may_read(type_):
                scope = _LISTS[type_].scope
                sentence = _("This needs a key with the scope %s.") % f"{scope}:read"
                self.permission_denied(self.request, sentence)
        return [type_ for type_ in TYPES if type_ in given]

    def _may_read(self, type_: str) -> bool:
        return carries(self.request, f"{_LISTS[type_].scope}:read")

    def _list_of(self, type_: str) -> Any:
        """The view that lists this type; it decides which rows and fields the reader sees."""
        view = _LISTS[type_]()
        view.request, view.format_kwarg, view.kwargs, view.args = self.request, None, {}, ()
        view.action, view.detail = "list", False
        return view


def _shown(changes: list[Change], views: dict[str, Any]) -> list[dict[str, Any]]:
    serializers_ = {type_: view.get_serializer() for type_, view in views.items()}
    return [
        {
            "type": change.type,
            "id": change.pk,
            "object": None
            if change.row is None
            else serializers_[change.type].to_representation(change.row),
        }
        for change in changes
    ]


def _position(written: str | None) -> Position | None:
    if written is None:
        return None
    position = Position.parse(written)
    if position is None:
        sentence = _("Give what `next` of an answer has here.")
        raise ValidationError({"after": [sentence]}, code="invalid")
    return position


def _page_size(written: str | None) -> int:
    if written is None:
        return _USUAL
    usable = written.isascii() and written.isdigit() and len(written) <= 4
    if not usable or not _SMALLEST <= int(written) <= _LARGEST:
        bounds = {"least": _SMALLEST, "most": _LARGEST}
        sentence = _("A whole number from %(least)s to %(most)s.") % bounds
        raise ValidationError({"page_size": [sentence]})
    return int(written)

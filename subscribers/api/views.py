"""The lists of followers, QR codes, bindings and messages in the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from events.api.files.export import ExportMixin
from events.api.pagination import ChangePagination
from events.api.serializers import NoFieldsSerializer
from events.api.views import ReadViewSet
from events.db.keyset import Leading
from events.models import with_account
from events.wechat.api.qr_codes import CREATE_PATH
from subscribers.api.binding_serializers import (
    BindingRequestDetailSerializer,
    BindingRequestSerializer,
    BindingSerializer,
    StartedBindingSerializer,
)
from subscribers.api.fields import refuse_hindered
from subscribers.api.filters import (
    BindingFilter,
    BindingRequestFilter,
    OutgoingMessageFilter,
    QRSceneFilter,
    SubscriberFilter,
)
from subscribers.api.message_serializers import NewMessageSerializer, OutgoingMessageSerializer
from subscribers.api.serializers import (
    NewQRSceneSerializer,
    QRSceneSerializer,
    SubscriberSerializer,
)
from subscribers.api.subscriber_rows import SubscriberRows
from subscribers.binding.bind import start_binding
from subscribers.models import Binding, BindingRequest, OutgoingMessage, QRScene, Subscriber
from subscribers.models.binding import with_bound_user
from subscribers.models.hour import hour_of
from subscribers.qr_codes.images import png, svg
from subscribers.qr_codes.logo import logo_of

__all__ = [
    "AnyAccept",
    "BindingRequestViewSet",
    "BindingViewSet",
    "OutgoingMessageViewSet",
    "QRSceneViewSet",
    "SubscriberViewSet",
]

_ID = "[0-9]{1,18}"


class SubscriberViewSet(ExportMixin, ReadViewSet[Subscriber]):
    """The followers, including those who left, with the state that the log gives them.

    The newest follower is first; with a filter by a time, the one who followed or changed last. To
    keep a copy up to date, begin with `updated_after=1970-01-01T00:00:00Z` and follow `next` to the
    end. The next time, begin with the `updated_at` of the first row of this time. While a long
    transaction runs, `settled` is false and no row is shown: ask again later.
    """

    scope = "subscribers"
    time_columns = {
        "updated_after": "updated_at",
        "followed_after": "last_followed_at",
        "followed_before": "last_followed_at",
    }
    # An index on updated_at itself would be written with every event (subscribers/models).
    leading_columns = {"updated_at": Leading("updated_hour", hour_of)}
    change_filter = "updated_after"
    pagination_class = ChangePagination
    queryset = with_account(with_bound_user(Subscriber.objects.all()))
    serializer_class = SubscriberSerializer
    filterset_class = SubscriberFilter
    exported = SubscriberRows()
    lookup_value_regex = _ID


class AnyAccept(BaseContentNegotiation):
    """Ignores the Accept header: for views that answer with a picture, or with an error as JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        return renderers[0], renderers[0].media_type


# The content type for clients that do not accept pictures.
_BYTES = "application/octet-stream"

_F = TypeVar("_F", bound=Callable[..., HttpResponse])


def _picture_schema(kind: str) -> Callable[[_F], _F]:
    answers = {(200, kind): OpenApiTypes.BINARY, (200, _BYTES): OpenApiTypes.BINARY}
    describe: Callable[[_F], _F] = extend_schema(responses=answers)
    return describe


def _picture(request: Request, content: str | bytes, kind: str) -> HttpResponse:
    is_unknown = not request.accepts(kind) and request.accepts(_BYTES)
    response = HttpResponse(content, content_type=_BYTES if is_unknown else kind)
    response["Vary"] = "Accept"
    return response


class QRSceneViewSet(ReadViewSet[QRScene]):
    """The QR codes of campaigns."""

    scope = "scenes"
    rights = {"renew": "subscribers.change_qrscene"}
    holds_personal_data = False
    queryset = with_account(QRScene.objects.prefetch_related("tags"))
    serializer_class = QRSceneSerializer
    filterset_class = QRSceneFilter
    lookup_value_regex = _ID

    @extend_schema(request=NewQRSceneSerializer, responses={201: QRSceneSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Makes a code. The worker fetches its ticket within seconds; read the code's `state`."""
        serializer = NewQRSceneSerializer(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        made = serializer.save()
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={202: QRSceneSerializer})
    @action(detail=True, methods=["post"])
    def renew(self, request: Request, pk: str) -> Response:
        """Makes a failed, temporary or adopted code due, so that the worker fetches a new ticket.

        The former picture of a temporary code works until its own lifetime ends.
        """
        NoFieldsSerializer(data=request.data).is_valid(raise_exception=True)
        scene = self.get_object()
        refuse_hindered(scene.account_id, CREATE_PATH)
        this = QRScene.objects.filter(pk=scene.pk)
        now = timezone.now()
        if not (this.renew(now) or this.try_again(now)):
            raise ValidationError(_("This code needs no new ticket, or is waiting for one."))
        scene.refresh_from_db()
        return Response(self.get_serializer(scene).data, status=status.HTTP_202_ACCEPTED)

    @_picture_schema("image/svg+xml")
    def qr_svg(self, request: Request, pk: str) -> HttpResponse:
        """The picture for pages, in any size; 404 while there is none that can be scanned."""
        scene = self._drawable()
        return _picture(request, svg(scene.url, logo_of(scene)), "image/svg+xml")

    @_picture_schema("image/png")
    def qr_png(self, request: Request, pk: str) -> HttpResponse:
        """The picture for print, 10 cm at 300 dpi, with the name under it."""
        scene = self._drawable()
        return _picture(request, png(scene.url, scene.name, logo_of(scene)), "image/png")

    def _drawable(self) -> QRScene:
        scene = self.get_object()
        if not scene.has_valid_code:
            raise NotFound(_("There is no picture that can be scanned."))
        return scene


class BindingViewSet(ReadViewSet[Binding]):
    """Which follower belongs to which site account; ended bindings are history."""

    scope = "bindings"
    time_columns = {
        "bound_after": "bound_at",
        "bound_before": "bound_at",
        "unbound_after": "unbound_at",
        "unbound_before": "unbound_at",
    }
    queryset = with_account(Binding.objects.select_related("subscriber", "user"))
    serializer_class = BindingSerializer
    filterset_class = BindingFilter
    lookup_value_regex = _ID


class BindingRequestViewSet(ReadViewSet[BindingRequest]):
    """Requests of site users to bind their WeChat."""

    scope = "bindings"
    queryset = with_account(
        BindingRequest.objects.select_related("user").defer("scene", "ticket", "url")
    )
    serializer_class = BindingRequestSerializer
    filterset_class = BindingRequestFilter
    lookup_value_regex = _ID

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "retrieve":
            return BindingRequestDetailSerializer
        return BindingRequestSerializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One request. A key of the request's user also gets the text of the QR code, once fetched.

        The first follower who scans the code is bound to that user, so nobody else may see it.
        """
        response = super().retrieve(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response

    @_picture_schema("image/svg+xml")
    def qr_svg(self, request: Request, pk: str) -> HttpResponse:
        """The QR code as a picture, for a key of the request's own user.

        403 for all other keys; 404 before the code is fetched from WeChat, and after its end.
        """
        binding_request = self.get_object()
        if binding_request.user_id != request.user.pk:
            raise PermissionDenied(_("Only the user it was made for may see this code."))
        code = binding_request.code_for(request.user)
        if not code:
            raise NotFound(_("There is no picture that can be scanned."))
        response = _picture(request, svg(code), "image/svg+xml")
        response["Cache-Control"] = "no-store"
        return response

    @extend_schema(responses={201: StartedBindingSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Makes a request with a fresh code, and withdraws a former one of this user.

        Only this answer shows the code's scene: anybody who reads it can bind their own WeChat to
        the user.
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        started = start_binding(**serializer.validated_data)
        return Response(
            StartedBindingSerializer(started).data,
            status=status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )


class OutgoingMessageViewSet(ReadViewSet[OutgoingMessage]):
    """Customer-service messages (客服消息) to followers, and what became of them."""

    scope = "messages"
    time_columns = {"created_after": "created_at", "created_before": "created_at"}
    queryset = with_account(OutgoingMessage.objects.select_related("subscriber"))
    serializer_class = OutgoingMessageSerializer
    filterset_class = OutgoingMessageFilter
    lookup_value_regex = _ID

    @extend_schema(request=NewMessageSerializer, responses={201: OutgoingMessageSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Queues a message for the worker. 400 with the reason if WeChat would not deliver it.

        Read the message again for its `state`.
        """
        serializer = NewMessageSerializer(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        queued = serializer.save()
        return Response(self.get_serializer(queued).data, status=status.HTTP_201_CREATED)

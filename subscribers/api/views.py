from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.views import ReadViewSet
from events.models import with_account
from subscribers.api.filters import (
    BindingFilter,
    BindingRequestFilter,
    OutgoingMessageFilter,
    QRSceneFilter,
    SubscriberFilter,
)
from subscribers.api.serializers import (
    BindingRequestSerializer,
    BindingSerializer,
    OutgoingMessageSerializer,
    QRSceneSerializer,
    StartedBindingSerializer,
    SubscriberSerializer,
)
from subscribers.binding import start_binding
from subscribers.models import Binding, BindingRequest, OutgoingMessage, QRScene, Subscriber

__all__ = [
    "BindingRequestViewSet",
    "BindingViewSet",
    "OutgoingMessageViewSet",
    "QRSceneViewSet",
    "SubscriberViewSet",
]

_ID = "[0-9]{1,18}"


class SubscriberViewSet(ReadViewSet[Subscriber]):
    """The followers, those who left included, as the log says they are.

    Who came last is first; with a filter by a time, who followed or changed last.
    """

    scope = "subscribers"
    time_columns = {
        "updated_after": "updated_at",
        "followed_after": "last_followed_at",
        "followed_before": "last_followed_at",
    }
    queryset = with_account(Subscriber.objects.with_bound_user())
    serializer_class = SubscriberSerializer
    filterset_class = SubscriberFilter
    lookup_value_regex = _ID


class QRSceneViewSet(ReadViewSet[QRScene]):
    """The QR codes of campaigns."""

    scope = "scenes"
    queryset = with_account(QRScene.objects.all())
    serializer_class = QRSceneSerializer
    filterset_class = QRSceneFilter
    lookup_value_regex = _ID


class BindingViewSet(ReadViewSet[Binding]):
    """Which follower belongs to which site account; ended bindings are history."""

    scope = "bindings"
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

    @extend_schema(responses={201: StartedBindingSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Makes a request with a fresh code, and withdraws a former one of this user.

        The answer shows the code's scene, once: whoever reads it can bind his WeChat to the user.
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        started = start_binding(**serializer.validated_data)
        return Response(
            StartedBindingSerializer(started).data,
            status=status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )


class OutgoingMessageViewSet(mixins.CreateModelMixin, ReadViewSet[OutgoingMessage]):
    """Customer-service messages (客服消息) to followers, and what became of them."""

    scope = "messages"
    queryset = with_account(OutgoingMessage.objects.select_related("subscriber"))
    serializer_class = OutgoingMessageSerializer
    filterset_class = OutgoingMessageFilter
    lookup_value_regex = _ID

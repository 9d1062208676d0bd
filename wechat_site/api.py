from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path
from django.utils import translation
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter

from events.api import schema  # noqa: F401  (registers the key's scheme)
from events.api.statistics import (
    EventStatistics,
    HealthStatistics,
    HourStatistics,
    MenuStatistics,
)
from events.api.views import AccountViewSet, EventViewSet
from subscribers.api.changes import ChangesView
from subscribers.api.statistics import (
    FollowerStatistics,
    MessageStatistics,
    SceneStatistics,
    SummaryStatistics,
    TopStatistics,
)
from subscribers.api.views import (
    AnyAccept,
    BindingRequestViewSet,
    BindingViewSet,
    OutgoingMessageViewSet,
    QRSceneViewSet,
    SubscriberViewSet,
)

__all__ = ["EnglishSchema", "urlpatterns"]

router = DefaultRouter()
router.include_root_view = False
router.register("accounts", AccountViewSet, basename="account")
router.register("events", EventViewSet, basename="event")
router.register("subscribers", SubscriberViewSet, basename="subscriber")
router.register("scenes", QRSceneViewSet, basename="scene")
router.register("bindings", BindingViewSet, basename="binding")
router.register("messages", OutgoingMessageViewSet, basename="message")
router.register("binding-requests", BindingRequestViewSet, basename="binding-request")


class EnglishSchema(SpectacularAPIView):
    """The schema, in English for every reader: generated clients must not depend on a language."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with translation.override("en"):
            response: Any = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
            # Sentences that are translated when they are written.
            response.accepted_renderer = request.accepted_renderer
            response.accepted_media_type = request.accepted_media_type
            response.renderer_context = self.get_renderer_context()
            response.render()
        return response  # type: ignore[no-any-return]


def _picture(prefix: str, viewset: Any, name: str) -> URLPattern:
    """A picture of one row: a file's name, without the slash that the router puts at the end."""
    view: Callable[..., HttpResponse] = viewset.as_view(
        {"get": name.replace(".", "_")}, detail=True, content_negotiation_class=AnyAccept
    )
    pattern = name.replace(".", r"\.")
    return re_path(rf"^{prefix}/(?P<pk>[0-9]{{1,18}})/{pattern}$", view)


_STATISTICS: dict[str, Any] = {
    "events": EventStatistics,
    "followers": FollowerStatistics,
    "health": HealthStatistics,
    "hours": HourStatistics,
    "menu": MenuStatistics,
    "messages": MessageStatistics,
    "scenes": SceneStatistics,
    "summary": SummaryStatistics,
    "top": TopStatistics,
}

urlpatterns = [
    *router.urls,
    path("changes/", ChangesView.as_view()),
    *(path(f"stats/{name}/", view.as_view()) for name, view in _STATISTICS.items()),
    _picture("scenes", QRSceneViewSet, "qr.svg"),
    _picture("scenes", QRSceneViewSet, "qr.png"),
    _picture("binding-requests", BindingRequestViewSet, "qr.svg"),
]

"""The addresses of the REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path
from rest_framework.routers import DefaultRouter

from events.api.broker_views import AccessTokenView, JsConfigView, JsTicketView
from events.api.openapi import key_scheme  # noqa: F401  (registers the scheme of keys)
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
    PeopleStatistics,
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
from subscribers.api.webhooks import WebhookViewSet
from wechat_site.embedding.binding_links import BindingLinkView

__all__ = ["urlpatterns"]

router = DefaultRouter()
router.include_root_view = False
router.register("accounts", AccountViewSet, basename="account")
router.register("events", EventViewSet, basename="event")
router.register("subscribers", SubscriberViewSet, basename="subscriber")
router.register("scenes", QRSceneViewSet, basename="scene")
router.register("bindings", BindingViewSet, basename="binding")
router.register("messages", OutgoingMessageViewSet, basename="message")
router.register("webhooks", WebhookViewSet, basename="webhook")
router.register("binding-requests", BindingRequestViewSet, basename="binding-request")


def _picture(prefix: str, viewset: Any, name: str) -> URLPattern:
    """The address of a row's picture: a file name without the router's slash at the end."""
    view: Callable[..., HttpResponse] = viewset.as_view(
        {"get": name.replace(".", "_")}, detail=True, content_negotiation_class=AnyAccept
    )
    pattern = name.replace(".", r"\.")
    return re_path(rf"^{prefix}/(?P<pk>[0-9]{{1,18}})/{pattern}$", view)


_BROKER: dict[str, Any] = {
    "access-token": AccessTokenView,
    "js-config": JsConfigView,
    "js-ticket": JsTicketView,
}
_STATISTICS: dict[str, Any] = {
    "events": EventStatistics,
    "followers": FollowerStatistics,
    "health": HealthStatistics,
    "hours": HourStatistics,
    "menu": MenuStatistics,
    "messages": MessageStatistics,
    "people": PeopleStatistics,
    "scenes": SceneStatistics,
    "summary": SummaryStatistics,
    "top": TopStatistics,
}

urlpatterns = [
    *router.urls,
    path("changes/", ChangesView.as_view()),
    path("binding-links/", BindingLinkView.as_view()),
    *(
        re_path(rf"^accounts/(?P<slug>[-a-zA-Z0-9_]+)/{name}/$", view.as_view())
        for name, view in _BROKER.items()
    ),
    *(path(f"stats/{name}/", view.as_view()) for name, view in _STATISTICS.items()),
    _picture("scenes", QRSceneViewSet, "qr.svg"),
    _picture("scenes", QRSceneViewSet, "qr.png"),
    _picture("binding-requests", BindingRequestViewSet, "qr.svg"),
]

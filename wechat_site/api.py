from __future__ import annotations

from rest_framework.routers import DefaultRouter

from events.api import schema  # noqa: F401  (registers the key's scheme)
from events.api.views import AccountViewSet, EventViewSet
from subscribers.api.views import (
    BindingRequestViewSet,
    BindingViewSet,
    OutgoingMessageViewSet,
    QRSceneViewSet,
    SubscriberViewSet,
)

__all__ = ["router"]

router = DefaultRouter()
router.include_root_view = False
router.register("accounts", AccountViewSet, basename="account")
router.register("events", EventViewSet, basename="event")
router.register("subscribers", SubscriberViewSet, basename="subscriber")
router.register("scenes", QRSceneViewSet, basename="scene")
router.register("bindings", BindingViewSet, basename="binding")
router.register("messages", OutgoingMessageViewSet, basename="message")
router.register("binding-requests", BindingRequestViewSet, basename="binding-request")

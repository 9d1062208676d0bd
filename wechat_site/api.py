from __future__ import annotations

from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import APIRootView, DefaultRouter

from events.api.views import AccountViewSet, EventViewSet
from subscribers.api.views import (
    BindingRequestViewSet,
    BindingViewSet,
    QRSceneViewSet,
    SubscriberViewSet,
)

__all__ = ["router"]


class ApiRoot(APIRootView):
    """What there is, for any valid key."""

    http_method_names = ["get", "head"]
    permission_classes = [IsAuthenticated]


class Router(DefaultRouter):
    include_format_suffixes = False
    APIRootView = ApiRoot


router = Router()
router.register("events", EventViewSet, basename="event")
router.register("subscribers", SubscriberViewSet, basename="subscriber")
router.register("scenes", QRSceneViewSet, basename="scene")
router.register("bindings", BindingViewSet, basename="binding")
router.register("binding-requests", BindingRequestViewSet, basename="binding-request")
router.register("accounts", AccountViewSet, basename="account")

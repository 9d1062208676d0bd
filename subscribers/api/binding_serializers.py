"""The fields of bindings and of requests to bind."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied

from events.api.openapi.examples import of_answer, of_body
from events.api.requests.authentication import carries
from events.api.serializers import StrictFields
from events.models import OfficialAccount
from events.people.scopes import ACT_FOR_USERS
from subscribers.api import examples
from subscribers.api.fields import NamedField, OpenIDField
from subscribers.models import Binding, BindingRequest

__all__ = [
    "BindingRequestDetailSerializer",
    "BindingRequestSerializer",
    "BindingSerializer",
    "StartedBindingSerializer",
]


@extend_schema_serializer(examples=[of_answer(examples.BINDING)])
class BindingSerializer(serializers.ModelSerializer[Binding]):
    account = serializers.SlugRelatedField[OfficialAccount](slug_field="slug", read_only=True)
    openid = OpenIDField(source="subscriber.openid", read_only=True)
    user = serializers.CharField(
        source="user.username",
        read_only=True,
        allow_null=True,
        default=None,
        help_text="User name of the site account; null once the follower was erased.",
    )
    event = serializers.IntegerField(
        source="event_id", read_only=True, help_text="Id of the scan in the event log."
    )
    is_active = serializers.BooleanField(read_only=True)
    is_dormant = serializers.BooleanField(
        read_only=True, help_text="Bound, but the follower has left; a new follow wakes it."
    )

    class Meta:
        model = Binding
        fields = [
            "id", "account", "openid", "user", "bound_at", "unbound_at", "event", "is_active",
            "is_dormant",
        ]  # fmt: skip


@extend_schema_serializer(
    examples=[of_body(examples.NEW_BINDING_REQUEST), of_answer(examples.BINDING_REQUEST)]
)
class BindingRequestSerializer(StrictFields, serializers.ModelSerializer[BindingRequest]):
    """A binding request without its code. To make one, give account and user."""

    account = NamedField(slug_field="slug", queryset=OfficialAccount.objects.filter(is_active=True))
    user = NamedField(
        slug_field="username", queryset=get_user_model().objects.filter(is_active=True)
    )
    state = serializers.ChoiceField(choices=BindingRequest.State.choices, read_only=True)

    def validate_user(self, user: Any) -> Any:
        """A key may name its own user; with ACT_FOR_USERS, also users without staff rights."""
        request = self.context["request"]
        if user == request.user:
            return user
        if not carries(request, ACT_FOR_USERS):
            raise PermissionDenied(
                _("A request for another user needs a key with the scope %s.") % ACT_FOR_USERS
            )
        if user.is_staff or user.is_superuser:
            raise PermissionDenied(_("No key may act for users with staff rights."))
        return user

    class Meta:
        model = BindingRequest
        fields = [
            "id", "account", "user", "way", "state", "created_at", "expires_at", "completed_at",
            "refused_reason",
        ]  # fmt: skip
        read_only_fields = [
            "way", "created_at", "expires_at", "completed_at", "refused_reason",
        ]  # fmt: skip


@extend_schema_serializer(examples=[of_answer(examples.BINDING_REQUEST | examples.CODE_OF_BINDING)])
class BindingRequestDetailSerializer(BindingRequestSerializer):
    """A binding request, with its code for the user it was made for."""

    url = serializers.SerializerMethodField(
        help_text="The text of the QR code. Null until it was fetched from WeChat, after the end, "
        "and for everybody but the user of the request."
    )

    class Meta(BindingRequestSerializer.Meta):
        fields = [*BindingRequestSerializer.Meta.fields, "url", "failure"]
        read_only_fields = [*BindingRequestSerializer.Meta.read_only_fields, "failure"]

    def get_url(self, request: BindingRequest) -> str | None:
        asked_by = self.context["request"].user
        return (request.code_for(asked_by) or None) if asked_by else None


@extend_schema_serializer(
    examples=[of_answer(examples.BINDING_REQUEST | {"scene": "bind-7Hq2xVn0sT4kLm9cWb3ZyA"})]
)
class StartedBindingSerializer(BindingRequestSerializer):
    """The answer to making a request: the one place where the code's scene is shown."""

    scene = serializers.CharField(
        read_only=True,
        help_text="For WeChat's qrcode/create as scene_str; show the code to this user alone.",
    )

    class Meta(BindingRequestSerializer.Meta):
        fields = [*BindingRequestSerializer.Meta.fields, "scene"]

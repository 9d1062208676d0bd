"""`binding-links/`: a link for the page of another site that shows a user's binding code."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_serializer, inline_serializer
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.openapi.examples import MOMENT, answer, of_body
from events.api.requests.idempotency import IdempotentPosts
from events.api.strict_filters import check_parameters
from events.audit.record import record
from subscribers.api.binding_serializers import BindingRequestSerializer
from subscribers.api.examples import NEW_BINDING_REQUEST
from wechat_site.embedding.signed_links import LIFETIME, embedded_path

__all__ = ["BindingLinkView"]


@extend_schema_serializer(examples=[of_body(NEW_BINDING_REQUEST)])
class BindingLinkSerializer(BindingRequestSerializer):
    """Whose WeChat is to be bound, and to which account."""

    class Meta(BindingRequestSerializer.Meta):
        fields = ["account", "user"]
        read_only_fields: list[str] = []

    def validate_user(self, user: object) -> object:
        """Refuses users with staff rights: no page of another site may act for them."""
        if getattr(user, "is_staff", False) or getattr(user, "is_superuser", False):
            raise serializers.ValidationError(_("No key may act for users with staff rights."))
        return super().validate_user(user)


class BindingLinkView(IdempotentPosts, APIView):
    """Links to the binding page of one user, for a frame in another site's page."""

    scope = "bindings"
    refusals: ClassVar[frozenset[int]] = frozenset({404})

    @extend_schema(
        request=BindingLinkSerializer,
        responses={
            201: answer(
                inline_serializer(
                    "BindingLink",
                    {"url": serializers.URLField(), "expires_at": serializers.DateTimeField()},
                ),
                {"url": "https://wechat.example.com/me/embedded/WzEsN10/", "expires_at": MOMENT},
            )
        },
    )
    def post(self, request: Request) -> Response:
        """Makes a link that is valid for fifteen minutes; give it to this user alone."""
        check_parameters(request._request, {"format"})
        if not settings.EMBEDDING_ORIGINS:
            raise NotFound(_("This site lets no other show its pages: set EMBEDDING_ORIGINS."))
        wish = BindingLinkSerializer(data=request.data, context={"request": request})
        wish.is_valid(raise_exception=True)
        account, user = wish.validated_data["account"], wish.validated_data["user"]
        expires_at = timezone.now() + LIFETIME
        url = request.build_absolute_uri(embedded_path(account, user))
        record("make_binding_link", user, name=user.get_username(), account=account)
        return Response(
            {"url": url, "expires_at": expires_at},
            status=status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )

"""`webhooks/`: endpoints of other systems, their deliveries, and sending these again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema, extend_schema_serializer, inline_serializer
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.openapi.examples import answer, of_answer, of_body
from events.api.serializers import NoFieldsSerializer, StrictFields
from events.api.strict_filters import AccountFilter
from events.api.views import ReadViewSet
from events.audit.record import record
from events.models import OfficialAccount, with_account
from events.viewer import HIDDEN, may_see_contents, may_see_openids
from subscribers.api import examples
from subscribers.api.fields import NamedField
from subscribers.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from subscribers.webhooks.endpoint_standing import hold
from subscribers.webhooks.endpoints import (
    activate,
    make_endpoint,
    rotate_secret,
    validate_types,
    validate_url,
)
from subscribers.webhooks.event_types import TYPES
from subscribers.webhooks.replay import chosen, send_again, send_test

__all__ = ["WebhookViewSet"]

_CHANGE = "subscribers.change_webhookendpoint"

_V = TypeVar("_V")


def _checked(validate: Callable[[_V], object], value: _V) -> _V:
    """Returns the value if it is valid; raises the API's error, not Django's."""
    try:
        validate(value)
    except DjangoValidationError as error:
        raise ValidationError(error.messages) from None
    return value


@extend_schema_serializer(examples=[of_body(examples.NEW_WEBHOOK), of_answer(examples.WEBHOOK)])
class WebhookSerializer(StrictFields, serializers.ModelSerializer[WebhookEndpoint]):
    """A webhook, without its secret."""

    account = NamedField(slug_field="slug", queryset=OfficialAccount.objects.all())
    types = serializers.ListField(
        child=serializers.CharField(max_length=70),
        max_length=50,
        help_text=f"Any of {', '.join(TYPES)}, or one event such as event.click.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = [
            "id", "account", "url", "types", "is_active", "failures", "failing_since", "paused_at",
            "stopped_because", "created_at",
        ]  # fmt: skip
        read_only_fields = [
            "is_active", "failures", "failing_since", "paused_at", "stopped_because",
        ]  # fmt: skip

    def validate_account(self, account: OfficialAccount) -> OfficialAccount:
        if self.instance is not None:
            raise ValidationError(_("A webhook stays with its account."))
        return account

    def validate_url(self, url: str) -> str:
        return _checked(validate_url, url)

    def validate_types(self, types: list[str]) -> list[str]:
        types = _checked(validate_types, types)
        return sorted(set(types))


@extend_schema_serializer(examples=[of_body({"types": ["event.*"]}), of_answer(examples.WEBHOOK)])
class ChangedWebhookSerializer(WebhookSerializer):
    """The fields that may be changed: the address, the types, and whether it gets events."""

    class Meta(WebhookSerializer.Meta):
        read_only_fields = ["failures", "failing_since", "paused_at", "stopped_because"]

    def update(self, instance: WebhookEndpoint, validated_data: Any) -> WebhookEndpoint:
        # Saves only these columns: the worker and other users may write others meanwhile.
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        return instance


_SECRET = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


@extend_schema_serializer(examples=[of_answer(examples.WEBHOOK | _SECRET)])
class NewWebhookSerializer(WebhookSerializer):
    """The answer to making a webhook: the one place where its secret is shown."""

    secret = serializers.CharField(read_only=True, help_text="`whsec_…`")

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


_Secret = inline_serializer(
    "WebhookSecret", {"id": serializers.IntegerField(), "secret": serializers.CharField()}
)
_Test = inline_serializer(
    "WebhookTest", {"id": serializers.IntegerField(), "delivery": serializers.IntegerField()}
)
_Redelivered = inline_serializer("Redelivered", {"deliveries": serializers.IntegerField()})


class AttemptSerializer(serializers.ModelSerializer[WebhookAttempt]):
    """One request to the webhook's address. `status` is null when nobody answered."""

    headers = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = WebhookAttempt
        fields = ["at", "duration_ms", "headers", "status", "answer", "error"]

    def to_representation(self, attempt: WebhookAttempt) -> dict[str, Any]:
        shown = super().to_representation(attempt)
        if not may_see_contents():
            shown["answer"] = HIDDEN if shown["answer"] else ""
        return shown


@extend_schema_serializer(examples=[of_answer(examples.DELIVERY)])
class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """A message to this webhook, and every attempt to deliver it."""

    message_id = serializers.CharField(source="message.message_id", read_only=True)
    type = serializers.CharField(source="message.type", read_only=True)
    event = serializers.IntegerField(source="message.event_id", read_only=True, allow_null=True)
    payload = serializers.CharField(
        source="message.body", read_only=True, help_text="The body of the request, as it is signed."
    )
    attempts = AttemptSerializer(source="tries", many=True, read_only=True)

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "message_id", "type", "event", "state", "created_at", "due_at", "sent_at",
            "failure", "payload", "attempts",
        ]  # fmt: skip

    def to_representation(self, delivery: WebhookDelivery) -> dict[str, Any]:
        shown = super().to_representation(delivery)
        if not (may_see_contents() and may_see_openids()):
            shown["payload"] = HIDDEN
        return shown


@extend_schema_serializer(examples=[of_body({"deliveries": [901]})])
class RedeliverSerializer(StrictFields, serializers.Serializer[Any]):
    """Deliveries by their ids, or those that failed, of those created within a given time."""

    deliveries = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        min_length=1,
        max_length=1000,
        required=False,
    )
    # get_fields() adds `from` and `to`: Python allows no attribute of the name `from`.
    successes = serializers.BooleanField(
        default=False, help_text="Those that arrived too, which then arrive twice."
    )

    def get_fields(self) -> dict[str, Any]:
        moments = {name: serializers.DateTimeField(required=False) for name in ("from", "to")}
        return super().get_fields() | moments

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if "deliveries" in given and {"from", "to"} & set(given):
            raise ValidationError(_("Give either ids or a span of time."))
        if given["successes"] and not {"from", "deliveries"} & set(given):
            raise ValidationError({"from": [_("Say from when on, to send what arrived again.")]})
        return given


class WebhookFilter(FilterSet):
    account = AccountFilter()

    class Meta:
        model = WebhookEndpoint
        fields: list[str] = []


class WebhookViewSet(
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ReadViewSet[WebhookEndpoint],
):
    """Addresses of other systems, to which this site sends events signed by Standard Webhooks."""

    scope = "webhooks"
    rights = {
        "destroy": "subscribers.delete_webhookendpoint",
        "partial_update": _CHANGE,
        "rotate_secret": _CHANGE,
        "send_test": _CHANGE,
        "activate": _CHANGE,
        "send_again": _CHANGE,
    }
    # Only the deliveries hold personal data, and deliveries() records a look at them itself.
    holds_personal_data = False
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    queryset = with_account(WebhookEndpoint.objects.all())
    serializer_class = WebhookSerializer
    filterset_class = WebhookFilter
    lookup_value_regex = "[0-9]{1,18}"

    def get_serializer_class(self) -> Any:
        return ChangedWebhookSerializer if self.action == "partial_update" else WebhookSerializer

    def _record_act(self, answer: Any) -> None:
        # Saving and deleting a webhook are recorded by themselves, with the values.
        if self.action not in {"create", "partial_update", "destroy"}:
            super()._record_act(answer)

    @extend_schema(responses={201: NewWebhookSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Makes a webhook. Only this answer has its secret."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        made = make_endpoint(**serializer.validated_data)
        return _with_secret(self.get_serializer(made).data, made.secret, status.HTTP_201_CREATED)

    def perform_update(self, serializer: Any) -> None:
        was_active = serializer.instance.is_active
        endpoint = serializer.save()
        if endpoint.is_active and not was_active:
            activate(endpoint)
        elif not endpoint.is_active:
            hold(endpoint)

    @extend_schema(request=None, responses={200: answer(_Secret, {"id": 3, **_SECRET})})
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Makes a new secret, which only this answer has. The former one signs too for 24 hours."""
        endpoint = self._of_empty_body(request)
        return _with_secret({"id": endpoint.pk}, rotate_secret(endpoint), status.HTTP_200_OK)

    @extend_schema(request=None, responses={202: answer(_Test, {"id": 3, "delivery": 901})})
    @action(detail=True, methods=["post"], url_path="test")
    def send_test(self, request: Request, pk: str) -> Response:
        """Queues a message of the type `webhook.test`."""
        endpoint = self._of_empty_body(request)
        said = {"id": endpoint.pk, "delivery": send_test(endpoint).pk}
        return Response(said, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={200: WebhookSerializer})
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: str) -> Response:
        """Sends to a paused or stopped webhook again at once, beginning with what it missed."""
        endpoint = self._of_empty_body(request)
        activate(endpoint)
        return Response(self.get_serializer(endpoint).data)

    @extend_schema(responses={200: DeliverySerializer(many=True)})
    @action(
        detail=True,
        methods=["get"],
        filterset_class=None,
        parameters=frozenset({"cursor", "page_size"}),
    )
    def deliveries(self, request: Request, pk: str) -> Response:
        """The deliveries to this webhook, newest first, each with its payload and every attempt."""
        endpoint = self.get_object()
        record("look", endpoint)
        rows = endpoint.deliveries.select_related("message").prefetch_related("tries")
        paged: Any = self.paginate_queryset(rows.order_by("-pk"))  # type: ignore[arg-type]
        return self.get_paginated_response(DeliverySerializer(paged, many=True).data)

    @extend_schema(
        request=RedeliverSerializer,
        responses={202: answer(_Redelivered, {"deliveries": 1})},
    )
    @action(detail=True, methods=["post"], url_path="redeliver")
    def send_again(self, request: Request, pk: str) -> Response:
        """Sends deliveries again: those with these ids, or those that failed."""
        endpoint = self.get_object()
        serializer = RedeliverSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        rows = chosen(
            endpoint,
            ids=given.get("deliveries"),
            begin=given.get("from"),
            end=given.get("to"),
            with_successes=given["successes"],
        )
        number = send_again(rows, timezone.now())
        return Response({"deliveries": number}, status=status.HTTP_202_ACCEPTED)

    def _of_empty_body(self, request: Request) -> WebhookEndpoint:
        NoFieldsSerializer(data=request.data).is_valid(raise_exception=True)
        return self.get_object()


def _with_secret(data: dict[str, Any], secret: str, code: int) -> Response:
    return Response({**data, "secret": secret}, status=code, headers={"Cache-Control": "no-store"})

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied

from events.api.authentication import carries
from events.api.serializers import StrictFields
from events.models import OfficialAccount
from events.people.scopes import ACT_FOR_USERS
from events.viewer import may, may_see_contents, shown_openid, visible_to
from events.wechat.api.fields import storable
from events.wechat.api.qr_codes import LONGEST_LIFE
from subscribers.messages.send import NotDeliverable, send_message
from subscribers.models import (
    Binding,
    BindingRequest,
    OutgoingMessage,
    QRScene,
    SceneTag,
    Subscriber,
)
from subscribers.models.outgoing_message import unpacked
from subscribers.models.qr_code import validate_one_line, validate_scene, validate_tag
from subscribers.qr_codes.create import (
    LONGEST_TAG,
    NewQRCode,
    PermanentCodesUsedUp,
    SceneTaken,
    create_qr_code,
)

__all__ = [
    "BindingRequestDetailSerializer",
    "BindingRequestSerializer",
    "BindingSerializer",
    "NewQRSceneSerializer",
    "OutgoingMessageSerializer",
    "QRSceneSerializer",
    "StartedBindingSerializer",
    "SubscriberSerializer",
]


class OpenIDField(serializers.CharField):
    """An OpenID, masked for keys whose owner may not see it in clear."""

    def to_representation(self, value: Any) -> str:
        return shown_openid(super().to_representation(value))


class SubscriberSerializer(serializers.ModelSerializer[Subscriber]):
    account = serializers.SlugRelatedField[OfficialAccount](slug_field="slug", read_only=True)
    is_following = serializers.BooleanField(read_only=True)
    bound_user = serializers.CharField(
        source="bound_username",
        read_only=True,
        allow_null=True,
        help_text="User name of the site account this follower is bound to, or null.",
    )
    openid = OpenIDField(read_only=True)

    class Meta:
        model = Subscriber
        fields = [
            "id", "account", "openid", "is_following", "first_followed_at", "last_followed_at",
            "last_unfollowed_at", "last_seen_at", "follow_count", "unfollow_count", "event_count",
            "first_scene", "last_scene", "unionid", "bound_user", "updated_at",
        ]  # fmt: skip

    def to_representation(self, subscriber: Subscriber) -> dict[str, Any]:
        shown = super().to_representation(subscriber)
        shown["unionid"] = shown_openid(shown["unionid"])
        if not may("subscribers.view_binding"):
            shown["bound_user"] = None
        return shown


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


class _NamedField(serializers.SlugRelatedField[Any]):
    """A row by its name, among those of the key's accounts.

    PostgreSQL cannot look for a name with a NUL or half a character.
    """

    default_error_messages = {
        "does_not_exist": _("There is no such name."),
        "invalid": _("Give a text."),
    }

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        if rows is None or rows.model is not OfficialAccount:
            return rows
        return visible_to(self.context["request"].user, rows, "pk")

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or storable(data) != data:
            self.fail("invalid")
        return super().to_internal_value(data)


class QRSceneSerializer(serializers.ModelSerializer[QRScene]):
    """A QR code. Its ticket and url are there when its state is ready."""

    account = serializers.SlugRelatedField[OfficialAccount](slug_field="slug", read_only=True)
    tags = serializers.SlugRelatedField[SceneTag](slug_field="name", many=True, read_only=True)
    state = serializers.ChoiceField(
        choices=QRScene.State.choices,
        read_only=True,
        help_text="`waiting` for its ticket, `ready`, `failed`, `expired`, or made `elsewhere`.",
    )
    is_expired = serializers.BooleanField(read_only=True)

    class Meta:
        model = QRScene
        fields = [
            "id", "account", "scene", "name", "note", "tags", "is_permanent", "expire_seconds",
            "expires_at", "is_expired", "state", "failure", "failure_text", "ticket", "url",
            "created_at",
        ]  # fmt: skip


class NewQRSceneSerializer(StrictFields, serializers.Serializer[QRScene]):
    """What a new code is to be: permanent, unless `expire_seconds` is given."""

    account = _NamedField(slug_field="slug", queryset=OfficialAccount.objects.all())
    name = serializers.CharField(max_length=100, validators=[validate_one_line])
    scene = serializers.CharField(
        default="",
        validators=[validate_scene],
        help_text="1 to 64 characters, not beginning with qrscene_ or bind-; by default made up.",
    )
    expire_seconds = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=LONGEST_LIFE,
        help_text="Makes a temporary code that lives so long from the moment it is fetched.",
    )
    note = serializers.CharField(default="", allow_blank=True, max_length=5000)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_TAG, validators=[validate_tag]),
        default=list,
        max_length=20,
    )
    adopt = serializers.BooleanField(
        default=False,
        help_text="The code exists already, made elsewhere: only give it a name here.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["adopt"] and not attrs["scene"]:
            raise serializers.ValidationError({"scene": _("Which scene does the code carry?")})
        if attrs["adopt"] and attrs["expire_seconds"]:
            raise serializers.ValidationError(
                {"expire_seconds": _("An existing code keeps the lifetime it was made with.")}
            )
        return attrs

    def create(self, validated_data: dict[str, Any]) -> QRScene:
        given = validated_data
        try:
            return create_qr_code(
                given["account"],
                NewQRCode(given["name"], given["scene"], given["note"]),
                expire_seconds=given["expire_seconds"],
                tags=given["tags"],
                adopt=given["adopt"],
            )
        except SceneTaken as taken:
            raise serializers.ValidationError(
                {"scene": _("A code with the scene “%s” exists already.") % taken}
            ) from None
        except PermanentCodesUsedUp:
            raise serializers.ValidationError(
                {"expire_seconds": _("WeChat makes no more permanent codes for this account.")}
            ) from None


class BindingRequestSerializer(StrictFields, serializers.ModelSerializer[BindingRequest]):
    """A binding request without its code. To make one, give account and user."""

    account = _NamedField(
        slug_field="slug", queryset=OfficialAccount.objects.filter(is_active=True)
    )
    user = _NamedField(
        slug_field="username", queryset=get_user_model().objects.filter(is_active=True)
    )
    state = serializers.ChoiceField(choices=BindingRequest.State.choices, read_only=True)

    def validate_user(self, user: Any) -> Any:
        """For oneself; for others with the scope for that, and never for staff."""
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
            "id", "account", "user", "state", "created_at", "expires_at", "completed_at",
            "refused_reason",
        ]  # fmt: skip
        read_only_fields = ["created_at", "expires_at", "completed_at", "refused_reason"]


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


class StartedBindingSerializer(BindingRequestSerializer):
    """The answer to making a request: the one place where the code's scene is shown."""

    scene = serializers.CharField(
        read_only=True,
        help_text="For WeChat's qrcode/create as scene_str; show the code to this user alone.",
    )

    class Meta(BindingRequestSerializer.Meta):
        fields = [*BindingRequestSerializer.Meta.fields, "scene"]


class OutgoingMessageSerializer(StrictFields, serializers.ModelSerializer[OutgoingMessage]):
    """A customer-service message. To send one, give account, openid, kind and payload."""

    account = _NamedField(
        slug_field="slug", queryset=OfficialAccount.objects.filter(is_active=True)
    )
    openid = OpenIDField(source="subscriber.openid", max_length=64)
    kind = serializers.CharField(
        max_length=20, help_text="text, image, news, mpnews, mpnewsarticle or msgmenu."
    )
    payload = serializers.DictField(
        help_text='By kind: `{"content"}`, `{"media_id"}`, `{"article": {"title", "description", '
        '"url", "pic_url"}}`, `{"media_id"}`, `{"article_id"}`, '
        '`{"head", "choices": [{"id", "content"}], "tail"}`.'
    )
    event = serializers.IntegerField(
        source="event_id",
        read_only=True,
        allow_null=True,
        help_text="Id of the event in the log that this answers, or null.",
    )

    class Meta:
        model = OutgoingMessage
        fields = [
            "id", "account", "openid", "kind", "payload", "state", "failure", "failure_text",
            "event", "created_at", "window_until", "sent_at",
        ]  # fmt: skip
        read_only_fields = [
            "state", "failure", "failure_text", "created_at", "window_until", "sent_at",
        ]  # fmt: skip

    def to_representation(self, message: OutgoingMessage) -> dict[str, Any]:
        shown = super().to_representation(message)
        if not may_see_contents():
            shown["payload"] = None
        return shown

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        openid = attrs["subscriber"]["openid"]
        found = Subscriber.objects.filter(account=attrs["account"], openid=openid).first()
        if found is None:
            raise serializers.ValidationError(
                {"openid": [_("There is no such follower.")]}, code="does_not_exist"
            )
        try:
            message = unpacked(attrs["kind"], attrs["payload"])
        except ValueError:
            raise serializers.ValidationError(
                {"payload": [_("This is not the content of a message of this kind.")]}
            ) from None
        return {"subscriber": found, "message": message}

    def create(self, validated_data: dict[str, Any]) -> OutgoingMessage:
        """Queues it. ValidationError with the reason where WeChat would not deliver it."""
        user = self.context["request"].user
        try:
            return send_message(validated_data["subscriber"], validated_data["message"], by=user)
        except NotDeliverable as refused:
            raise serializers.ValidationError(
                {"openid": [str(refused)]}, code=refused.reason
            ) from None

"""The fields of followers and QR codes."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from events.api.openapi.examples import of_answer, of_body
from events.api.serializers import StrictFields
from events.models import OfficialAccount
from events.viewer import may, shown_openid
from events.wechat.api.qr_codes import CREATE_PATH, LONGEST_LIFE, LONGEST_SCENE
from subscribers.api import examples
from subscribers.api.fields import NamedField, OpenIDField, refuse_hindered
from subscribers.models import QRScene, SceneTag, Subscriber
from subscribers.models.scene import validate_one_line, validate_scene, validate_tag
from subscribers.qr_codes.create import (
    LONGEST_SCENE_TAG,
    NewQRCode,
    PermanentCodesUsedUp,
    SceneTaken,
    create_qr_code,
)
from subscribers.tagging.tag_names import tag_names, tags_of

__all__ = ["NewQRSceneSerializer", "QRSceneSerializer", "SubscriberSerializer"]


class SceneField(serializers.CharField):
    """A scene, as a text or a number, because WeChat has scenes that are numbers."""

    takes_numbers = True


@extend_schema_serializer(examples=[of_answer(examples.SUBSCRIBER)])
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
    tags = serializers.SerializerMethodField(help_text="Names of WeChat's tags (标签).")

    def get_tags(self, subscriber: Subscriber) -> list[str]:
        # The context keeps the names, so that an answer of many rows reads them once.
        context: dict[str, Any] = self.context  # type: ignore[assignment]
        names: dict[int, Any] = context.setdefault("tag_names", {})
        account = subscriber.account_id
        if subscriber.tag_ids and account not in names:
            names[account] = tag_names([account])
        return tags_of(subscriber, names.get(account, {}))

    class Meta:
        model = Subscriber
        fields = [
            "id", "account", "openid", "is_following", "first_followed_at", "last_followed_at",
            "last_unfollowed_at", "last_seen_at", "follow_count", "unfollow_count", "event_count",
            "first_scene", "last_scene", "unionid", "tags", "bound_user", "updated_at",
        ]  # fmt: skip

    def to_representation(self, subscriber: Subscriber) -> dict[str, Any]:
        shown = super().to_representation(subscriber)
        shown["unionid"] = shown_openid(shown["unionid"])
        if not may("subscribers.view_binding"):
            shown["bound_user"] = None
        return shown


@extend_schema_serializer(examples=[of_answer(examples.SCENE)])
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


@extend_schema_serializer(examples=[of_body(examples.NEW_SCENE)])
class NewQRSceneSerializer(StrictFields, serializers.Serializer[QRScene]):
    """The fields of a new code, which is permanent unless `expire_seconds` is given."""

    account = NamedField(slug_field="slug", queryset=OfficialAccount.objects.all())
    name = serializers.CharField(max_length=100, validators=[validate_one_line])
    scene = SceneField(
        required=False,
        max_length=LONGEST_SCENE,
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
        child=serializers.CharField(max_length=LONGEST_SCENE_TAG, validators=[validate_tag]),
        default=list,
        max_length=20,
    )
    adopt = serializers.BooleanField(
        default=False,
        help_text="The code exists already, made elsewhere: only give it a name here.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs.setdefault("scene", "")
        if attrs["adopt"] and not attrs["scene"]:
            raise serializers.ValidationError({"scene": _("Which scene does the code carry?")})
        if attrs["adopt"] and attrs["expire_seconds"]:
            raise serializers.ValidationError(
                {"expire_seconds": _("An existing code keeps the lifetime it was made with.")}
            )
        if not attrs["adopt"]:
            refuse_hindered(attrs["account"].pk, CREATE_PATH)
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

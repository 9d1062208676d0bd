"""The fields of customer-service messages (客服消息)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from events.api.openapi.examples import of_answer, of_body
from events.api.serializers import StrictFields
from events.models import OfficialAccount
from events.viewer import may_see_contents
from events.wechat.api.custom_messages import SEND_PATH
from subscribers.api import examples
from subscribers.api.fields import NamedField, OpenIDField, refuse_hindered
from subscribers.messages.send import NotDeliverable, send_message
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.models.outgoing_message import MESSAGE_KINDS, unpacked

__all__ = ["NewMessageSerializer", "OutgoingMessageSerializer"]


@extend_schema_serializer(examples=[of_answer(examples.MESSAGE)])
class OutgoingMessageSerializer(serializers.ModelSerializer[OutgoingMessage]):
    """A customer-service message, and what became of it."""

    account = serializers.SlugRelatedField[OfficialAccount](slug_field="slug", read_only=True)
    openid = OpenIDField(source="subscriber.openid", read_only=True)
    kind = serializers.ChoiceField(choices=MESSAGE_KINDS, read_only=True)
    payload = serializers.DictField(
        read_only=True,
        allow_null=True,
        help_text="Null for keys whose owner may not see contents of messages.",
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
        read_only_fields = fields

    def to_representation(self, message: OutgoingMessage) -> dict[str, Any]:
        shown = super().to_representation(message)
        if not may_see_contents():
            shown["payload"] = None
        return shown


@extend_schema_serializer(examples=[of_body(examples.NEW_MESSAGE)])
class NewMessageSerializer(StrictFields, serializers.Serializer[OutgoingMessage]):
    """A message to be sent."""

    account = NamedField(slug_field="slug", queryset=OfficialAccount.objects.filter(is_active=True))
    openid = serializers.CharField(max_length=64)
    kind = serializers.ChoiceField(choices=MESSAGE_KINDS)
    payload = serializers.DictField(
        help_text="The fields by kind; those after “also” may be left out.\n\n"
        "- `text`: `content`\n"
        "- `image`, `voice`, `mpnews`: `media_id`\n"
        "- `video`: `media_id`; also `title`, `description`, `thumb_media_id`\n"
        "- `music`: `thumb_media_id`; also `title`, `description`, `music_url`, `hq_music_url`\n"
        "- `miniprogrampage`: `title`, `app_id`, `page`, `thumb_media_id`\n"
        "- `news`: `article`, an object of `title`, `description`, `url`, `pic_url`\n"
        "- `mpnewsarticle`: `article_id`\n"
        "- `msgmenu`: `head`, `choices`, a list of objects of `id`, `content`; also `tail`"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        found = Subscriber.objects.filter(account=attrs["account"], openid=attrs["openid"]).first()
        if found is None:
            raise serializers.ValidationError(
                {"openid": [_("There is no such follower.")]}, code="does_not_exist"
            )
        refuse_hindered(found.account_id, SEND_PATH)
        try:
            message = unpacked(attrs["kind"], attrs["payload"])
        except ValueError:
            raise serializers.ValidationError(
                {"payload": [_("This is not the content of a message of this kind.")]}
            ) from None
        return {"subscriber": found, "message": message}

    def create(self, validated_data: dict[str, Any]) -> OutgoingMessage:
        """Queues it; raises ValidationError with the reason if WeChat would not deliver it."""
        user = self.context["request"].user
        try:
            return send_message(validated_data["subscriber"], validated_data["message"], by=user)
        except NotDeliverable as refused:
            raise serializers.ValidationError(
                {"openid": [str(refused)]}, code=refused.reason
            ) from None

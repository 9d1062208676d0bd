"""Fields that several serializers of this room share."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from events.models import OfficialAccount
from events.platform.hindrances import hindrance
from events.viewer import shown_openid, visible_to
from events.wechat.api.transport.answer_fields import storable

__all__ = ["NamedField", "OpenIDField", "refuse_hindered"]


def refuse_hindered(account_id: int, path: str) -> None:
    """Raises ValidationError for the field `account` if the account cannot call this path."""
    if (hindered := hindrance(account_id, path)) is not None:
        raise serializers.ValidationError({"account": [str(hindered)]}, code=hindered.code)


class OpenIDField(serializers.CharField):
    """An OpenID, masked for keys whose owner may not see it in clear."""

    def to_representation(self, value: Any) -> str:
        return shown_openid(super().to_representation(value))


class NamedField(serializers.SlugRelatedField[Any]):
    """A row by its name, among those of the key's accounts.

    It refuses a name with a NUL or a lone surrogate, which PostgreSQL cannot search for.
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

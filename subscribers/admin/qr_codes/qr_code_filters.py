"""Filters of the list of QR codes, and the tags that their users may see."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from events.viewer import account_ids, visible_to
from subscribers.models import QRScene, SceneTag

__all__ = ["GroupFilter", "QRCodeStateFilter", "TagFilter", "visible_tags"]

_MOST_GROUPS = 100


def visible_tags(user: Any, tags: QuerySet[SceneTag]) -> QuerySet[SceneTag]:
    """Leaves out tags that only codes of other accounts carry, for users with a limit."""
    if account_ids(user) is None:
        return tags
    carrying = QRScene.objects.filter(tags=OuterRef("pk"))
    return tags.filter(Exists(visible_to(user, carrying)) | ~Exists(carrying))


class QRCodeStateFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return QRScene.State.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in QRScene.State.values:
            return queryset
        return queryset.in_state(QRScene.State(str(self.value())), timezone.now())


class GroupFilter(admin.SimpleListFilter):
    title = pgettext_lazy("QR codes", "group")
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        groups = visible_to(request.user, QRScene.objects.exclude(group=""))
        names = groups.order_by("group").values_list("group", flat=True).distinct()[:_MOST_GROUPS]
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(group=self.value()) if self.value() else queryset


class TagFilter(admin.RelatedFieldListFilter):
    """Offers the tags that the user may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        tags = visible_tags(request.user, SceneTag.objects.all())
        return field.get_choices(
            include_blank=False,
            ordering=self.field_admin_ordering(field, request, model_admin),
            limit_choices_to={"pk__in": tags.order_by().values("pk")},
        )

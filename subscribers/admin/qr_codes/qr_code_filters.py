"""Filters of the list of QR codes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from events.viewer import visible_to
from subscribers.models import QRScene

__all__ = ["GroupFilter", "QRCodeStateFilter"]

_MOST_GROUPS = 100


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

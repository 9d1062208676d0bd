from __future__ import annotations

import datetime
from typing import Any, TypeVar

from django.db.models import Model
from django.utils import timezone
from rest_framework import mixins, viewsets
from rest_framework.serializers import BaseSerializer

from events.api.filters import EventFilter
from events.api.pagination import EventPagination
from events.api.serializers import AccountSerializer, EventDetailSerializer, EventSerializer
from events.models import ACCOUNT_SECRETS, EventLog, OfficialAccount, with_account

__all__ = ["AccountViewSet", "EventViewSet", "ReadViewSet"]

_M = TypeVar("_M", bound=Model)


class ReadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[_M]):
    """Lists and shows rows of one table, with all times in UTC, whoever asks."""

    # What stands before the colon in the scopes that a key needs.
    scope: str

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(datetime.UTC):
            return super().dispatch(request, *args, **kwargs)


class EventViewSet(ReadViewSet[EventLog]):
    """The event log, newest first; with `after_id` ascending, each row once and none skipped."""

    scope = "events"
    queryset = with_account(EventLog.objects.all())
    filterset_class = EventFilter
    pagination_class = EventPagination
    lookup_value_regex = "[0-9]{1,18}"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return EventDetailSerializer if self.action == "retrieve" else EventSerializer


class AccountViewSet(ReadViewSet[OfficialAccount]):
    """The Official Accounts of this site, without their secrets."""

    scope = "accounts"
    queryset = OfficialAccount.objects.defer(*ACCOUNT_SECRETS)
    serializer_class = AccountSerializer
    lookup_field = "slug"
    filterset_fields: list[str] = []

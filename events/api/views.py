from __future__ import annotations

import datetime
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from events.api.export import ExportMixin
from events.api.filters import NOT_FILTERS, EventFilter
from events.api.idempotency import IdempotentPosts
from events.api.pagination import EventPagination
from events.api.serializers import AccountSerializer, EventDetailSerializer, EventSerializer
from events.db.time_limit import TookTooLong, time_limit
from events.models import ACCOUNT_SECRETS, EventLog, OfficialAccount, with_account
from events.viewer import visible_to

__all__ = ["AccountViewSet", "EventViewSet", "ReadViewSet"]

_M = TypeVar("_M", bound=Model)


class TooSlow(APIException):
    """400, since asking again would take as long again."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _(
        "These filters together take too long. Leave one out, or choose a shorter time."
    )
    default_code = "too_slow"


class ReadViewSet(
    IdempotentPosts, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[_M]
):
    """Lists and shows rows of one table, with all times in UTC for every reader."""

    # What stands before the colon in the scopes that a key needs.
    scope: str
    # Filters by a time, each with the column of which the list is then in the order; the first that
    # is given counts.
    time_columns: ClassVar[dict[str, str]] = {}

    # From a row to its account.
    account_path = "account"

    def get_queryset(self) -> QuerySet[_M]:
        # The OpenAPI schema is made without a user.
        rows = super().get_queryset()
        user = getattr(self.request, "user", None)
        return rows if user is None else visible_to(user, rows, self.account_path)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        filters = set(request.query_params) - NOT_FILTERS
        if len(filters) < 2:
            return super().list(request, *args, **kwargs)
        try:
            with time_limit():
                return super().list(request, *args, **kwargs)
        except TookTooLong:
            raise TooSlow from None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(datetime.UTC):
            return super().dispatch(request, *args, **kwargs)


class EventViewSet(ExportMixin, ReadViewSet[EventLog]):
    """The event log, newest first; with `after_id` ascending, each row once and none skipped.

    Newest is what was received last; with a filter by `event_time`, what happened last.
    """

    scope = "events"
    time_columns = {
        "event_time_after": "event_time",
        "event_time_before": "event_time",
        "received_after": "received_at",
        "received_before": "received_at",
    }
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
    account_path = "pk"
    lookup_field = "slug"
    lookup_value_regex = "[-a-zA-Z0-9_]+"
    filterset_fields: list[str] = []

"""The API's views of accounts and events, and the base of all views of lists."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from events.api.event_filter import EventFilter
from events.api.files.event_rows import EventRows
from events.api.files.export import ExportMixin
from events.api.pagination import EventPagination
from events.api.requests.idempotency import IdempotentPosts
from events.api.serializers import AccountSerializer, EventDetailSerializer, EventSerializer
from events.api.strict_filters import NOT_FILTERS, check_parameters
from events.audit.record import name_of, record, record_look_at_list
from events.audit.watched_tables import is_watched
from events.db.time_limit import TookTooLong, time_limit
from events.models import ACCOUNT_SECRETS, EventLog, OfficialAccount, with_account
from events.viewer import visible_to

__all__ = ["AccountViewSet", "EventViewSet", "ReadViewSet"]

_M = TypeVar("_M", bound=Model)


class TooSlow(APIException):
    """The query took too long. The status is 400, because a repeated query would take as long."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _(
        "These filters together take too long. Leave one out, or choose a shorter time."
    )
    default_code = "too_slow"


class ReadViewSet(
    IdempotentPosts, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[_M]
):
    """Lists and shows rows of one table, with all times in UTC for every reader."""

    # The part before the colon of the scope that a key needs.
    scope: str
    # The permission that the key's owner needs for an action, beside the one of the scope.
    rights: ClassVar[Mapping[str, str]] = {}
    # Filters by a time, each with the column that orders the list if the request has the filter. If
    # it has several, the first one here counts.
    time_columns: ClassVar[dict[str, str]] = {}
    # Whether the audit records who sees the rows.
    holds_personal_data: ClassVar[bool] = True

    # The path from a row to its account.
    account_path = "account"
    # The parameters of addresses that are not lists.
    parameters: ClassVar[frozenset[str]] = frozenset()

    def get_queryset(self) -> QuerySet[_M]:
        # The OpenAPI schema is made without a user.
        rows = super().get_queryset()
        user = getattr(self.request, "user", None)
        return rows if user is None else visible_to(user, rows, self.account_path)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        answer = self._list(request, *args, **kwargs)
        if self.holds_personal_data:
            filters = set(request.query_params) - NOT_FILTERS
            record_look_at_list(self.get_queryset().model, sorted(filters))
        return answer

    def _list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        filters = set(request.query_params) - NOT_FILTERS
        if len(filters) < 2:
            return super().list(request, *args, **kwargs)
        try:
            with time_limit():
                return super().list(request, *args, **kwargs)
        except TookTooLong:
            raise TooSlow from None

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        if self.holds_personal_data:
            record("look", row)
        return Response(self.get_serializer(row).data)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(datetime.UTC):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        method = str(request.method).lower()
        handler = getattr(self, method, None)
        if request.method not in SAFE_METHODS and handler is not None:

            def act(request: Request, *args: Any, **kwargs: Any) -> Any:
                with transaction.atomic():
                    answer = handler(request, *args, **kwargs)
                    self._record_act(answer)
                return answer

            setattr(self, method, act)
        super().initial(request, *args, **kwargs)
        if handler is not None and (self.detail or request.method not in SAFE_METHODS):
            check_parameters(request._request, self.parameters | {"format"})

    def _record_act(self, answer: Any) -> None:
        model = self.get_queryset().model
        data = answer.data if isinstance(getattr(answer, "data", None), dict) else {}
        pk = data.get("id") or self.kwargs.get(self.lookup_url_kwarg or self.lookup_field)
        row = model._default_manager.filter(pk=pk).first() if str(pk).isdigit() else None
        act = self.action or str(self.request.method)
        name = name_of(row) if row is not None and is_watched(model) else ""
        record({"create": "add", "destroy": "delete"}.get(act, act), row or model, name=name)


class EventViewSet(ExportMixin, ReadViewSet[EventLog]):
    """The event log, newest first; with `after_id` ascending, each row once and none skipped.

    The newest event is the one that was received last; with a filter by `event_time`, the one that
    happened last.
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
    exported = EventRows()
    lookup_value_regex = "[0-9]{1,18}"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return EventDetailSerializer if self.action == "retrieve" else EventSerializer


class AccountViewSet(ReadViewSet[OfficialAccount]):
    """The Official Accounts of this site, without their secrets."""

    scope = "accounts"
    holds_personal_data = False
    queryset = OfficialAccount.objects.defer(*ACCOUNT_SECRETS)
    serializer_class = AccountSerializer
    account_path = "pk"
    lookup_field = "slug"
    lookup_value_regex = "[-a-zA-Z0-9_]+"
    filterset_fields: list[str] = []

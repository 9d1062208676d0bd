"""`accounts/<slug>/access-token/`, `js-ticket/`, `js-config/`: for other programs that call WeChat.

These answers give access to the account at WeChat. So each address has its own scope, which only
administrators can give, and the audit list records who used it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.core.cache import caches
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.openapi.examples import answer
from events.api.requests.authentication import carries
from events.api.strict_filters import check_parameters
from events.audit.record import name_of, record
from events.models import ApiKey, OfficialAccount
from events.platform import broker
from events.platform.failures import explanation
from events.viewer import visible_to
from events.wechat.api import APIError

__all__ = ["AccessTokenView", "JsConfigView", "JsTicketView"]

_T = TypeVar("_T")

# Seconds. All uses of a key within this time are one audit entry of a web process.
_ONE_USE = 60


class WeChatUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "wechat_unavailable"

    def __init__(self, error: APIError) -> None:
        super().__init__(explanation(error.label))
        until = getattr(error, "until", None)
        left = (until - timezone.now()).total_seconds() if until else 30.0
        self.wait = max(1.0, left)


class _BrokerView(APIView):
    """The base of these views: requires a key with the view's scope, and records each use."""

    scope: str
    act: str
    parameters: ClassVar[frozenset[str]] = frozenset()
    refusals: ClassVar[frozenset[int]] = frozenset({404, 503})

    def check_permissions(self, request: Request) -> None:
        if not isinstance(request.auth, ApiKey):
            self.permission_denied(request)
        if not carries(request, self.scope):
            sentence = _("This needs a key with the scope %s, and its owner's right to it.")
            self.permission_denied(request, str(sentence % self.scope))

    def account(self, slug: str) -> OfficialAccount:
        check_parameters(self.request._request, self.parameters | {"format"})
        accounts = visible_to(self.request.user, OfficialAccount.objects.all(), "pk")
        account = accounts.filter(slug=slug).first()
        if account is None:
            raise NotFound
        return account

    def lent(self, account: OfficialAccount, lend: Callable[[OfficialAccount], _T]) -> _T:
        """Returns the result of `lend`; records the use, at most once a minute for each key.

        Raises WeChatUnavailable if `lend` raises APIError.
        """
        try:
            lent = lend(account)
        except APIError as error:
            raise WeChatUnavailable(error) from None
        key = self.request.auth
        if caches["process"].add(f"broker.{self.act}.{account.pk}.{key.pk}", 1, _ONE_USE):
            record(self.act, account, name=name_of(account))
        return lent


def _answer(data: dict[str, Any]) -> Response:
    return Response(data, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def _lent(name: str, lent: broker.Lent) -> Response:
    left = int((lent.use_until - timezone.now()).total_seconds())
    until = lent.use_until.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    return _answer({name: lent.value, "use_until": until, "expires_in": max(1, left)})


def _schema(name: str, value: str) -> Any:
    return inline_serializer(
        name,
        {
            value: serializers.CharField(),
            "use_until": serializers.DateTimeField(help_text="Ask again then, and not before."),
            "expires_in": serializers.IntegerField(help_text="The same in seconds from now."),
        },
    )


_EXAMPLE = {"use_until": "2026-11-23T09:55:00Z", "expires_in": 6900}


class AccessTokenView(_BrokerView):
    """The access token that this site uses. Fetch none from WeChat: that could end this one."""

    scope = "access-token:use"
    act = "use_access_token"

    @extend_schema(
        responses=answer(
            _schema("LentAccessToken", "access_token"),
            _EXAMPLE | {"access_token": "86_h3Vn0sT4kLm9cWb3ZyA"},
        )
    )
    def get(self, request: Request, slug: str) -> Response:
        return _lent("access_token", self.lent(self.account(slug), broker.lend_token))


class JsTicketView(_BrokerView):
    """The JS-SDK ticket (jsapi_ticket) that signs pages."""

    scope = "js-ticket:use"
    act = "use_js_ticket"

    @extend_schema(
        responses=answer(
            _schema("LentJsTicket", "ticket"), _EXAMPLE | {"ticket": "LIKLckvwlJT9cWihEQTwfHqVn0"}
        )
    )
    def get(self, request: Request, slug: str) -> Response:
        return _lent("ticket", self.lent(self.account(slug), broker.lend_js_ticket))


class JsConfigView(_BrokerView):
    """The arguments of `wx.config` for one page, on a host that the account allows."""

    scope = "js-config:use"
    act = "use_js_config"
    parameters = frozenset({"url"})

    @extend_schema(
        parameters=[OpenApiParameter("url", str, required=True, description="The page's address.")],
        responses=answer(
            inline_serializer(
                "JsConfig",
                {
                    "appId": serializers.CharField(),
                    "timestamp": serializers.IntegerField(),
                    "nonceStr": serializers.CharField(),
                    "signature": serializers.CharField(),
                },
            ),
            {
                "appId": "wx3a9f0c27d81be645",
                "timestamp": 1795507200,
                "nonceStr": "Wm3WZYTPz0wzccnW",
                "signature": "0f9de62fce790f9a083d5c99e95740ceb90c27ed",
            },
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        account = self.account(slug)
        url = request.query_params.get("url", "")
        try:
            return _answer(self.lent(account, lambda account: broker.js_config(account, url)))
        except broker.UnknownHost:
            sentence = _("This host is not among the account's JS-SDK hosts.")
            raise ValidationError({"url": [sentence]}, code="unknown_host") from None

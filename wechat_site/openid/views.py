"""The pages of OpenID Connect: django-allauth's pages, with this site's additions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from allauth.idp.oidc import views
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from events.audit.record import record
from wechat_site.headers import with_form_targets
from wechat_site.openid.tokens import forget_code_of_inactive_user, tokens_of

__all__ = ["applications", "authorization", "configuration", "if_on", "token"]

_View = Callable[..., HttpResponse]


def if_on(view: _View) -> _View:
    """Wraps a view, so that it answers 404 while OPENID_CONNECT is off."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.OPENID_CONNECT:
            raise Http404("OpenID Connect is off.")
        return view(request, *args, **kwargs)

    return guarded


@require_safe
def configuration(request: HttpRequest) -> HttpResponse:
    """The discovery document for applications: the addresses, and what they may ask for."""
    adapter = get_adapter()
    issuer = adapter.get_issuer()
    origin = issuer.removesuffix("/openid")
    addresses = {
        name: f"{origin}{reverse(f'idp:oidc:{page}')}"
        for name, page in (
            ("authorization_endpoint", "authorization"),
            ("token_endpoint", "token"),
            ("userinfo_endpoint", "userinfo"),
            ("jwks_uri", "jwks"),
            ("revocation_endpoint", "revoke"),
        )
    }
    answer = JsonResponse(
        {
            "issuer": issuer,
            **addresses,
            "scopes_supported": list(adapter.scope_display),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic", "client_secret_post", "none",
            ],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": [
                *("sub", "name", "given_name", "family_name", "preferred_username"),
                *("email", "email_verified", "wechat_accounts", "wechat_account"),
                *("wechat_openid", "wechat_unionid", "wechat_remark"),
            ],
        }
    )  # fmt: skip
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Cache-Control"] = "max-age=3600"
    return answer


class Authorization(views.AuthorizationView):  # type: ignore[misc]
    """Asks the user whether the application may know them, and records it if they agree."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():
            response: HttpResponse = super().dispatch(request, *args, **kwargs)
            # A page that has read no request yet may redirect to itself, with any parameters.
            is_read = hasattr(self, "_request_info")
            if is_read and "code" in parse_qs(urlsplit(response.headers.get("Location", "")).query):
                client = Client.objects.get(pk=self._request_info["client_id"])
                record("sign_in_to", client, name=client.name)
        if response.status_code == HTTPStatus.OK and not hasattr(response, "context_data"):
            # This is the page that tells a user what is wrong with the request.
            response.status_code = HTTPStatus.BAD_REQUEST
        client = (getattr(response, "context_data", None) or {}).get("client")
        if client is not None:
            targets = sorted({_target(uri) for uri in client.get_redirect_uris()})
            response.headers["Content-Security-Policy"] = with_form_targets(targets)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"goes_to": _shown(self._request_info["redirect_uri"])}


authorization = Authorization.as_view()


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """Gives an application tokens in exchange for the code that it got through its user."""
    if code := request.POST.get("code"):
        forget_code_of_inactive_user(code)
    response: HttpResponse = views.token(request)
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def applications(request: HttpRequest) -> HttpResponse:
    """The applications that hold tokens of the user; a POST ends the access of one."""
    if request.method == "POST":
        with transaction.atomic():
            client = get_object_or_404(Client, pk=request.POST.get("application", "")[:100])
            if tokens_of(request.user).filter(client=client).delete()[0]:
                record("end_access", client, name=client.name)
        return HttpResponseRedirect(reverse("my_applications"))
    titles = get_adapter().scope_display
    found: dict[str, Any] = {}
    for token in tokens_of(request.user).select_related("client").order_by("client__name", "pk"):
        client = found.setdefault(token.client_id, token.client)
        given = getattr(client, "may_learn", {})
        client.may_learn = given | {name: titles.get(name, name) for name in token.get_scopes()}
    for client in found.values():
        client.may_learn = list(client.may_learn.values())
    return render(request, "openid/applications.html", {"applications": list(found.values())})


def _shown(uri: str) -> str:
    """Who learns of the user: the host, or an app's own scheme such as org.example.app."""
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme in {"http", "https"} else parts.scheme


def _target(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"

"""Adapts django-allauth's OpenID Connect provider to this site: issuer, keys, scopes, claims."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Literal

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from allauth.idp.oidc.models import Client, PrivateKey
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from events.models import SigningKey
from wechat_site.openid.claims import SCOPE, wechat_claims

__all__ = ["OpenIDAdapter"]


class OpenIDAdapter(DefaultOIDCAdapter):  # type: ignore[misc]
    scope_display = {
        "openid": _("Your user number"),
        "profile": _("Your user name and your name"),
        "email": _("Your e-mail address"),
        SCOPE: _("Your WeChat: the Official Account, OpenID, UnionID and remark"),
    }

    def generate_client_id(self) -> str:
        return f"app-{secrets.token_hex(12)}"

    def generate_client_secret(self) -> str:
        return secrets.token_urlsafe(32)

    def get_issuer(self) -> str:
        base = settings.PUBLIC_URL or self.request.build_absolute_uri("/").rstrip("/")
        return f"{base}/openid"

    def get_claims(
        self,
        purpose: Literal["id_token", "userinfo"],
        user: Any,
        client: Client,
        scopes: Iterable[str],
        email: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        without_email = [scope for scope in scopes if scope != "email"]
        claims: dict[str, Any] = super().get_claims(purpose, user, client, without_email)
        if "email" in scopes and user.email:
            # Administrators enter the address, and nobody has verified it.
            claims |= {"email": user.email, "email_verified": False}
        if SCOPE in scopes:
            claims |= wechat_claims(user, client)
        return claims

    def list_private_keys(
        self,
        *,
        did_activate: Literal[True] | None = None,
        is_active: Literal[True] | None = None,
    ) -> list[PrivateKey]:
        """The key that signs, then the former key, which tokens may still be signed with."""
        if not settings.OPENID_CONNECT_KEY:
            return [PrivateKey(pem=SigningKey.value())]
        stored = SigningKey.objects.values_list("pem", flat=True)
        return [PrivateKey(pem=pem) for pem in [settings.OPENID_CONNECT_KEY, *stored]]

    def get_signing_key(self) -> PrivateKey:
        return self.list_private_keys()[0]

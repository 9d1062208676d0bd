"""Who may ask: keys made by ``manage.py create_api_key``, and the scopes they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from events.models import ApiKey

if TYPE_CHECKING:
    # At run time rest_framework.views imports this module, by name from the settings.
    from rest_framework.views import APIView

__all__ = ["READ_SCOPES", "SCOPES", "WRITE_SCOPES", "ApiKeyAuthentication", "HasScope"]

READ_SCOPES = (
    "accounts:read",
    "bindings:read",
    "events:read",
    "messages:read",
    "scenes:read",
    "stats:read",
    "subscribers:read",
)
WRITE_SCOPES = ("bindings:write", "messages:write", "scenes:write")
SCOPES = READ_SCOPES + WRITE_SCOPES


_KEYWORDS = {b"token", b"bearer"}


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Token <key>``, or ``Bearer``; the key is known by its digest alone."""

    keyword = "Token"

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in _KEYWORDS:
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("The header must be: Authorization: Token <key>")
        digest = ApiKey.digest_of(parts[1].decode("latin-1"))
        key = ApiKey.objects.select_related("user").filter(digest=digest).first()
        if key is None or not key.is_usable:
            raise AuthenticationFailed("This key is unknown, or no longer valid.")
        key.note_use()
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class HasScope(BasePermission):
    """The key carries the view's scope: ``<scope>:read`` to look, ``<scope>:write`` to act."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiKey):
            return False
        if not hasattr(view, (request.method or "").lower()):
            return True  # a method this view does not have is 405, whatever the key may do
        act = "read" if request.method in SAFE_METHODS else "write"
        needed = f"{view.scope}:{act}"  # type: ignore[attr-defined]
        self.message = f"This needs a key with the scope {needed}."
        return needed in request.auth.scopes

"""Authenticates requests by API keys, and checks the keys' scopes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import cache, caches
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from events.audit.record import record
from events.models import ApiKey
from events.people.client_address import client_address
from events.people.scopes import may_give
from events.viewer import limited_to

if TYPE_CHECKING:
    # At run time rest_framework.views imports this module, by name from the settings.
    from rest_framework.views import APIView

__all__ = ["ApiKeyAuthentication", "HasScope", "KeyThrottle", "carries"]

logger = logging.getLogger("wechat_site.signin")

# Wrong keys that one address may send in a minute; more get the answer 429.
_WRONG_KEYS = 20
# Seconds. In this time the audit list gets one entry for an address; the log gets each wrong key.
_WRONG_KEY_RECORDED_EVERY = 3600


def carries(request: Request, scope: str) -> bool:
    """Whether the request's key has the scope, and its owner still has the right to it."""
    key = request.auth
    return isinstance(key, ApiKey) and scope in key.scopes and may_give(request.user, scope)


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Token <key>``, or ``Bearer``; the key is known by its digest alone."""

    keywords = (b"bearer", b"token")

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in self.keywords:
            return None
        if len(parts) != 2:
            raise AuthenticationFailed(_("The header must be: Authorization: Bearer <key>"))
        digest = ApiKey.digest_of(parts[1].decode("latin-1"))
        key = ApiKey.objects.select_related("user").filter(digest=digest).first()
        address = client_address(request._request)
        if key is None or not key.is_usable:
            raise self._refusal(address)
        key.note_use(address)
        if key.is_limited:
            limited_to(key.user, key.accounts.values_list("pk", flat=True))
        return key.user, key

    @staticmethod
    def _refusal(address: str) -> APIException:
        logger.warning("sign-in failed address=%s reason=key user=%s", address, '""')
        if caches["process"].add(f"audit.wrong-key.{address}", 1, _WRONG_KEY_RECORDED_EVERY):
            record("sign_in_failed", details={"reason": "key"})
        counter = f"wrong-keys:{address}"
        cache.add(counter, 0, timeout=60)
        try:
            wrong = cache.incr(counter)
        except ValueError:
            wrong = 1  # the counter expired between add() and incr()
        if wrong > _WRONG_KEYS:
            return Throttled(wait=60)
        return AuthenticationFailed(_("This key is unknown, or no longer valid."))

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key carries the view's scope: ``<scope>:read`` to look, ``<scope>:write`` to act.

    For an action among the view's `rights` the key's owner also needs the permission named there.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiKey):
            return False
        if not hasattr(view, (request.method or "").lower()):
            return True  # a method that this view lacks is answered 405, for any key
        act = "read" if request.method in SAFE_METHODS else "write"
        needed = f"{view.scope}:{act}"  # type: ignore[attr-defined]
        self.message = (
            _("This needs a key with the scope %s, and its owner's right to it.") % needed
        )
        if not carries(request, needed):
            return False
        right = getattr(view, "rights", {}).get(getattr(view, "action", None))
        if right is None or request.user.has_perm(right):
            return True
        self.message = _("The key's owner lacks the permission %s.") % right
        return False


class KeyThrottle(SimpleRateThrottle):
    """Limits the requests of one key in a minute; each web process counts separately."""

    cache = caches["process"]
    scope = "key"

    def get_rate(self) -> str | None:
        return f"{settings.API_REQUESTS_PER_MINUTE}/min"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        key = request.auth
        return f"api-key:{key.pk}" if isinstance(key, ApiKey) else None

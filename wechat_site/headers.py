"""Sets headers that tell browsers what a page may do, and caches what they may keep."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loaders import app_directories

__all__ = ["HeadersMiddleware", "NonceLoader", "policy_for_frames", "with_form_targets"]

_COMMON = (
    "default-src 'self'; img-src 'self' data:; font-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
)
_POLICY = _COMMON + "script-src 'self'; style-src 'self'"
# The admin's theme has a style element, which carries the nonce, and styles in attributes. Its
# Alpine.js evaluates the expressions in its templates.
_ADMIN_POLICY = (
    _COMMON + "script-src 'self' 'unsafe-eval'; style-src 'self' 'nonce-{nonce}'; "
    "style-src-attr 'unsafe-inline'"
)
_DOCS_POLICY = (
    _COMMON + "script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "style-src-attr 'unsafe-inline'"
)
# Forbids pages the features that browsers allow by default; this site uses only passkeys.
_PERMISSIONS = ", ".join(
    [
        *(
            f"{feature}=()"
            for feature in (
                "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media",
                "fullscreen", "geolocation", "gyroscope", "magnetometer", "microphone", "midi",
                "payment", "picture-in-picture", "screen-wake-lock", "usb", "xr-spatial-tracking",
            )
        ),
        "publickey-credentials-create=(self)",
        "publickey-credentials-get=(self)",
    ]
)  # fmt: skip
# The paths whose answers hold personal data or secrets.
_PRIVATE = ("/admin/", "/account/", "/api/v1/", "/me/", "/openid/")


class HeadersMiddleware:
    """Sets Content-Security-Policy, Permissions-Policy and Cache-Control on every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        policy = _policy_of(request.path)
        if "{nonce}" in policy:
            nonce = secrets.token_urlsafe(16)
            # NonceLoader puts the nonce into the theme's templates.
            request.csp_nonce = nonce  # type: ignore[attr-defined]
            policy = policy.replace("{nonce}", nonce)
        response = self.get_response(request)
        headers = response.headers
        # In development, Django's error pages consist of inline style and script.
        if not (settings.DEBUG and response.status_code in {404, 500}):
            headers.setdefault("Content-Security-Policy", policy)
        headers.setdefault("Permissions-Policy", _PERMISSIONS)
        if request.path.startswith(_PRIVATE):
            headers.setdefault("Cache-Control", "no-store")
        return response


def with_form_targets(targets: Iterable[str]) -> str:
    """The policy of a page whose form redirects to other sites, since browsers check that too.

    `targets` are origins such as `https://shop.example`, or schemes such as `org.example.app:`.
    """
    form_action = " ".join(["form-action 'self'", *targets])
    return _POLICY.replace("form-action 'self'", form_action)


def policy_for_frames(origins: list[str]) -> str:
    """The Content-Security-Policy of a page that pages of these origins may show in a frame."""
    return _POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(origins)}")


def _policy_of(path: str) -> str:
    if path.startswith("/admin/"):
        return _ADMIN_POLICY
    return _DOCS_POLICY if path.startswith("/api/docs/") else _POLICY


class NonceLoader(app_directories.Loader):
    """Loads the templates of packages, and gives their inline styles and scripts the nonce.

    It changes the template before values are filled in, so no value can get the nonce.
    """

    _inline = re.compile(r"<(style(?=[\s>])|script(?=>))")

    def get_contents(self, origin: object) -> str:
        contents = super().get_contents(origin)  # type: ignore[arg-type]
        return self._inline.sub(r'<\1 nonce="{{ request.csp_nonce }}"', contents)

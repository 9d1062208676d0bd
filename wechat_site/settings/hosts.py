"""Host names, TLS and proxies, cookies and frames."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import DEBUG, env

_LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=_LOCAL_HOSTS if DEBUG else [])
_public = [host for host in ALLOWED_HOSTS if host not in _LOCAL_HOSTS]
if DEBUG and _public:
    raise ImproperlyConfigured(
        f"ALLOWED_HOSTS names {_public[0]}, but DEBUG is on, which shows error pages with their "
        "data and uses published keys. Set DEBUG=False, or leave ALLOWED_HOSTS out for a local "
        "start."
    )
if not DEBUG and not ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "DEBUG is off, so ALLOWED_HOSTS must be set to the site's host names, "
        "for example ALLOWED_HOSTS=wechat.example.com"
    )
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
for _origin in CSRF_TRUSTED_ORIGINS:
    if not urlsplit(_origin).scheme:
        raise ImproperlyConfigured(
            f"CSRF_TRUSTED_ORIGINS: {_origin!r} must begin with http:// or https://"
        )

# The address at which WeChat reaches this site, without a path: https://wechat.example.com. The
# doctor, alert messages and OpenID Connect use it.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
if PUBLIC_URL and (
    urlsplit(PUBLIC_URL).scheme not in {"http", "https"} or urlsplit(PUBLIC_URL).path
):
    raise ImproperlyConfigured("PUBLIC_URL must be like https://wechat.example.com, without a path")

# Other sites whose pages may show the binding page in a frame, such as https://shop.example.com.
EMBEDDING_ORIGINS = env.list("EMBEDDING_ORIGINS", default=[])
for _origin in EMBEDDING_ORIGINS:
    # Checked strictly, because the origins become part of a header.
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", _origin):
        raise ImproperlyConfigured(
            f"EMBEDDING_ORIGINS: {_origin!r} must be like https://shop.example.com, without a path."
        )

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
# WeChat does not follow redirects, and load balancers check health over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^wechat/", r"^healthz$", r"^readyz$", r"^metrics$"]
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 30 * 24 * 3600)
# HSTS for subdomains and the preload list concern a whole domain; only its owner can decide that.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# How many proxies in front of the site append to X-Forwarded-For. By default the site trusts none,
# because a visitor could write any address there.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES < 0:
    raise ImproperlyConfigured("TRUSTED_PROXIES is a number of proxies: 0 or more.")

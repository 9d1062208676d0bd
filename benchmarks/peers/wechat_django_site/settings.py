"""The settings of the naive peer, with wechat-django instead of its app."""

from __future__ import annotations

from naive.settings import (
    ALLOWED_HOSTS,
    DATABASES,
    DEBUG,
    DEFAULT_AUTO_FIELD,
    INSTALLED_APPS,
    MIDDLEWARE,
    SECRET_KEY,
    STATIC_URL,
    TEMPLATES,
    TIME_ZONE,
    USE_TZ,
)

__all__ = [
    "ALLOWED_HOSTS",
    "DATABASES",
    "DEBUG",
    "DEFAULT_AUTO_FIELD",
    "MIDDLEWARE",
    "SECRET_KEY",
    "STATIC_URL",
    "TEMPLATES",
    "TIME_ZONE",
    "USE_TZ",
]

INSTALLED_APPS = [*(app for app in INSTALLED_APPS if app != "naive"), "wechat_django"]
ROOT_URLCONF = "wechat_django_site.urls"
WSGI_APPLICATION = "wechat_django_site.wsgi.application"
# In seconds. By default, wechat-django refuses pushes that were signed more than three minutes ago.
WECHAT_MESSAGETIMEOFFSET = 24 * 3600

"""Apps, middleware, templates, languages, static and private files."""

from __future__ import annotations

import importlib.util

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import BASE_DIR, DEBUG, VAR_DIR, env

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "wechat_site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.idp.oidc",
    "allauth.usersessions",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "wechat_site",
    "subscribers",
    "events",
]


def _extra_apps() -> list[str]:
    """Apps from other packages on Python's path (docs/extending.md), which come last."""
    names = [name.strip() for name in env.list("EXTRA_APPS", default=[]) if name.strip()]
    for name in names:
        if INSTALLED_APPS.count(name) + names.count(name) > 1:
            raise ImproperlyConfigured(f"EXTRA_APPS: {name!r} is installed already.")
        try:
            package = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            package = None
        if package is None or package.submodule_search_locations is None:
            raise ImproperlyConfigured(
                f"EXTRA_APPS: there is no package {name!r} on Python's path. "
                "Give names of packages, separated by commas, and set PYTHONPATH to the folder "
                "that they are in."
            )
    return names


EXTRA_APPS = _extra_apps()
INSTALLED_APPS += EXTRA_APPS

MIDDLEWARE = [
    "wechat_site.middleware.TransferMiddleware",
    "wechat_site.middleware.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "wechat_site.headers.HeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "wechat_site.middleware.StorableQueryMiddleware",
    "wechat_site.middleware.EitherSlashMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "events.people.middleware.ViewerMiddleware",
    "events.people.middleware.KeyWarningMiddleware",
    "events.audit.context.AuditMiddleware",
    "wechat_site.signin.lifetime.SessionLifetimeMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "wechat_site.signin.second_factor.SecondFactorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "wechat_site.urls"
WSGI_APPLICATION = "wechat_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "wechat_site.headers.NonceLoader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="zh-hans")
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured("LANGUAGE_CODE must be zh-hans or en.")
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Shanghai")
USE_TZ = True
# Both languages use one format of dates.
FORMAT_MODULE_PATH = "wechat_site.locale"
# The second folder has the Chinese texts of the admin's theme, which comes without any.
LOCALE_PATHS = [BASE_DIR / "wechat_site" / "locale", BASE_DIR / "wechat_site" / "theme_locale"]

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Files that pages give only to users who may see them; they have no URL of their own.
    "private": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": env.str("PRIVATE_FILES_DIR", default=str(VAR_DIR / "files")),
            "base_url": None,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# A local start serves static files from the packages, so it needs no collectstatic.
WHITENOISE_USE_FINDERS = DEBUG

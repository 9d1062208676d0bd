"""One settings file for every environment; what differs comes from environment variables.

With nothing set, a local site works: SQLite in ``var/``, DEBUG on, this machine only. With
``DEBUG=False`` a missing or weak setting stops the start with a sentence that says what to set.
"""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()

DEBUG = env.bool("DEBUG", default=True)


# --- Secrets -------------------------------------------------------------------------------------

# Used only while DEBUG is on and the hosts are local. Both are public: they protect nothing.
_LOCAL_SECRET_KEY = "local-only-key-that-protects-nothing-set-SECRET_KEY-for-a-real-site"
_LOCAL_ENCRYPTION_KEY = "bG9jYWwtb25seS1rZXktcHJvdGVjdHMtbm90aGluZyE="


def _secret(name: str, local_default: str, how_to_make: str) -> str:
    value: str = env.str(name, default="")
    if value:
        return value
    if DEBUG:
        return local_default
    raise ImproperlyConfigured(f"DEBUG is off, so {name} must be set. Make one with: {how_to_make}")


SECRET_KEY = _secret(
    "SECRET_KEY",
    _LOCAL_SECRET_KEY,
    "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
)
if not DEBUG and (len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5):
    raise ImproperlyConfigured(
        "SECRET_KEY is too weak: it must have at least 50 characters, made at random."
    )

# The first key encrypts, all of them decrypt: put a new one in front, keep the old one behind it.
FIELD_ENCRYPTION_KEYS = [
    key.strip()
    for key in _secret(
        "FIELD_ENCRYPTION_KEYS",
        _LOCAL_ENCRYPTION_KEY,
        "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
    ).split(",")
    if key.strip()
]
for _key in FIELD_ENCRYPTION_KEYS:
    try:
        Fernet(_key)
    except ValueError:
        raise ImproperlyConfigured(
            "Each of FIELD_ENCRYPTION_KEYS must be 32 random bytes in URL-safe base64 "
            "(44 characters), separated by commas."
        ) from None
if not DEBUG and _LOCAL_ENCRYPTION_KEY in FIELD_ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "FIELD_ENCRYPTION_KEYS holds the public key of local starts. Make a key of your own."
    )


# --- Hosts and transport security ----------------------------------------------------------------

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

# Where WeChat reaches this site, for the doctor: https://wechat.example.com, without a path.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
if PUBLIC_URL and (
    urlsplit(PUBLIC_URL).scheme not in {"http", "https"} or urlsplit(PUBLIC_URL).path
):
    raise ImproperlyConfigured("PUBLIC_URL must be like https://wechat.example.com, without a path")

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
# WeChat does not follow redirects, and balancers ask for health over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^wechat/", r"^healthz$", r"^readyz$", r"^metrics$"]
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 30 * 24 * 3600)
# Subdomains and the preload list are promises about a whole domain, which only its owner can make.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# How many proxies in front of the site append to X-Forwarded-For. None are believed by default: a
# visitor could write any address there himself.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES < 0:
    raise ImproperlyConfigured("TRUSTED_PROXIES is a number of proxies: 0 or more.")


# --- Sign-in -------------------------------------------------------------------------------------

# Of everybody with staff rights, at the first sign-in.
REQUIRE_SECOND_FACTOR = env.bool("REQUIRE_SECOND_FACTOR", default=not DEBUG)
# Seconds after which a session ends: without use, and in any case.
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=2 * 3600)
SESSION_COOKIE_AGE = env.int("SESSION_MAX_SECONDS", default=12 * 3600)

LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

ACCOUNT_ADAPTER = "wechat_site.signin.adapters.AccountAdapter"
ACCOUNT_FORMS = {"login": "wechat_site.signin.adapters.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = reverse_lazy("account_login")
ACCOUNT_SESSION_REMEMBER = True  # for as long as SESSION_COOKIE_AGE says, no longer
# Failures count for the address and for the user name; a success takes back its own count.
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "login_failed": "10/m/ip,100/d/ip,5/5m/key",
}
USERSESSIONS_ADAPTER = "wechat_site.signin.adapters.SessionsAdapter"
MFA_ADAPTER = "wechat_site.signin.adapters.SecondFactorAdapter"
MFA_FORMS = {
    "add_webauthn": "wechat_site.signin.adapters.AddPasskeyForm",
    "edit_webauthn": "wechat_site.signin.adapters.RenamePasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# Nobody signs up here, so that no address waits to be verified.
MFA_ALLOW_UNVERIFIED_EMAIL = True
# Clocks of telephones differ by some seconds.
MFA_TOTP_TOLERANCE = 1
# A local start has no TLS.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG


# --- Application ---------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
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
    """Other packages on Python's path (docs/extending.md); they come last, so they may override."""
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


# --- Database ------------------------------------------------------------------------------------

VAR_DIR.mkdir(mode=0o700, exist_ok=True)
if VAR_DIR.stat().st_mode & 0o077:
    # Databases and archives in there are for nobody else.
    with contextlib.suppress(PermissionError):
        VAR_DIR.chmod(0o700)


def _database() -> dict[str, Any]:
    config: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR}/db.sqlite3")
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN, where waiting works; a transaction that began as
        # a reader and then writes fails at once with "database is locked". FULL keeps what was
        # committed through a power cut, which NORMAL does not.
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=20,  # seconds; a callback has its own (events/db/transactions.py)
            # A page that many commits have written is copied to its place once: 16 MiB of them.
            init_command=(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
            ),
        )
        config["CONN_MAX_AGE"] = None
    elif config["ENGINE"] == "django.db.backends.postgresql":
        # The callback has 5 seconds in all: waiting longer than 2 for a connection helps nobody.
        options.update(
            pool={
                "min_size": 1,
                "max_size": env.int("DATABASE_POOL_SIZE", default=8),
                "timeout": 2,
            },
            connect_timeout=2,
            # PgBouncer hands one connection to many, and does not know who prepared what.
            prepare_threshold=None if env.bool("BEHIND_PGBOUNCER", default=False) else 5,
        )
        config["DISABLE_SERVER_SIDE_CURSORS"] = env.bool("BEHIND_PGBOUNCER", default=False)
        config["CONN_HEALTH_CHECKS"] = True
    else:
        raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:// or postgres://")
    return config


DATABASES = {"default": _database()}
CACHES = {
    # For what all processes must count together, such as failed sign-ins. It is seldom written.
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "site_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    # For what a process may remember by itself.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}


# --- Languages, times, static files --------------------------------------------------------------

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="zh-hans")
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured("LANGUAGE_CODE must be zh-hans or en.")
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Shanghai")
USE_TZ = True
# The second holds the Chinese of the admin's theme, which ships none.
LOCALE_PATHS = [BASE_DIR / "wechat_site" / "locale", BASE_DIR / "wechat_site" / "theme_locale"]

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# A local start serves straight from the packages, so that no collectstatic is needed.
WHITENOISE_USE_FINDERS = DEBUG


# --- API -----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["events.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_THROTTLE_CLASSES": ["events.api.authentication.KeyThrottle"],
    "DEFAULT_PERMISSION_CLASSES": ["events.api.authentication.HasScope"],
    "DEFAULT_FILTER_BACKENDS": ["events.api.filters.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "events.api.pagination.NewestFirstPagination",
    "DEFAULT_SCHEMA_CLASS": "events.api.openapi.ApiSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["events.api.parsers.StrictJSONParser"],
    "DEFAULT_VERSIONING_CLASS": None,
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "events.api.negotiation.KnownFormats",
    "EXCEPTION_HANDLER": "events.api.exceptions.answer_to",
}
# How long a new API key lasts, and how often it may be used: each web process counts for itself.
API_KEY_DAYS = env.int("API_KEY_DAYS", default=365)
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=1200)
if API_KEY_DAYS < 1 or API_REQUESTS_PER_MINUTE < 1:
    raise ImproperlyConfigured("API_KEY_DAYS and API_REQUESTS_PER_MINUTE must be 1 at least.")
SPECTACULAR_SETTINGS = {
    "TITLE": "WeChat Official Account events",
    "DESCRIPTION": (
        "Events, followers, QR scenes and bindings of WeChat Official Accounts. "
        "Send the header `Authorization: Bearer <key>`; make a key with "
        "`manage.py create_api_key USERNAME`."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "events.api.openapi.without_defaults_of_answers",
    ],
    "ENUM_NAME_OVERRIDES": {
        "BindingRequestStateEnum": "subscribers.models.BindingRequest.State",
        "EventStatusEnum": "events.models.EventLog.Status",
        "MessageStateEnum": "subscribers.models.outgoing_message.MessageState",
        "QRSceneStateEnum": "subscribers.models.QRScene.State",
    },
}


# --- Receiving -----------------------------------------------------------------------------------

# Bytes. A real push is below 10 kB.
CALLBACK_MAX_BODY = env.int("CALLBACK_MAX_BODY", default=64 * 1024)
# How many pushes that are in flight in one process are committed together at the most.
CALLBACK_BATCH = env.int("CALLBACK_BATCH", default=500)
if CALLBACK_BATCH < 1:
    raise ImproperlyConfigured("CALLBACK_BATCH must be at least 1.")
# Seconds that WeChat waits for an answer to a push, before it tries again, three times in all. Only
# tests, in which its time passes quicker, change that.
CALLBACK_SECONDS: float = env.float("CALLBACK_SECONDS", default=5)
# Threads of one web process, and of one worker, in which reply handlers run.
REPLY_HANDLER_THREADS = env.int("REPLY_HANDLER_THREADS", default=16)
# A handler that runs for longer is taken for dead: the worker runs it again.
REPLY_HANDLER_SECONDS: float = env.float("REPLY_HANDLER_SECONDS", default=60)
# Threads of one web process for all that is not a push: pages, API, static files.
PAGE_THREADS = env.int("PAGE_THREADS", default=8)
if REPLY_HANDLER_THREADS < 1 or PAGE_THREADS < 1:
    raise ImproperlyConfigured("REPLY_HANDLER_THREADS and PAGE_THREADS must be at least 1.")
# Bytes that a request to a page may have: of anybody, and of one who is not signed in.
PAGE_MAX_BODY = env.int("PAGE_MAX_BODY", default=16 * 1024 * 1024)
PAGE_MAX_BODY_OF_STRANGERS = env.int("PAGE_MAX_BODY_OF_STRANGERS", default=64 * 1024)
# Seconds between a push's timestamp and our clock. None: old pushes are counted, not refused, since
# a wrong clock must not become an outage.
CALLBACK_MAX_AGE: int | None = env.int("CALLBACK_MAX_AGE", default=0) or None
# The same for accounts in plaintext mode, and for older pushes alone. The signature there does not
# cover the body, so one captured query would let forgeries in for ever. WeChat's own tries end
# within seconds; the rest is for clocks that differ. 0: never.
CALLBACK_MAX_AGE_PLAINTEXT: int | None = env.int("CALLBACK_MAX_AGE_PLAINTEXT", default=900) or None
if CALLBACK_MAX_AGE_PLAINTEXT is not None and CALLBACK_MAX_AGE_PLAINTEXT < 60:
    raise ImproperlyConfigured(
        "CALLBACK_MAX_AGE_PLAINTEXT must be at least 60 seconds, or pushes are lost that WeChat is "
        "still sending; 0 accepts pushes of any age."
    )
# Seconds during which the previous token and AES key are still accepted after a change.
SECRET_ROTATION_SECONDS = env.int("SECRET_ROTATION_SECONDS", default=3600)
# None keeps everything.
EVENT_RETENTION_DAYS: int | None = env.int("EVENT_RETENTION_DAYS", default=0) or None
# A folder for archives. When set, what is past retention is written there before it is removed.
_archive_dir = env.str("EVENT_ARCHIVE_DIR", default="")
EVENT_ARCHIVE_DIR: Path | None = Path(_archive_dir) if _archive_dir else None
# Days after which the bodies of events and the texts of messages are emptied; state, numbers and
# what happened when stay. Empty: never.
EVENT_BODY_RETENTION_DAYS: int | None = env.int("EVENT_BODY_RETENTION_DAYS", default=0) or None
# Days after which a person who unfollowed is erased. Empty: never by itself.
ERASE_UNFOLLOWED_DAYS: int | None = env.int("ERASE_UNFOLLOWED_DAYS", default=0) or None
# Days for which audit entries are kept. 0: for ever. Chinese law wants six months of such logs
# (网络安全法 art. 21).
AUDIT_RETENTION_DAYS: int | None = env.int("AUDIT_RETENTION_DAYS", default=1095) or None
if AUDIT_RETENTION_DAYS is not None and AUDIT_RETENTION_DAYS < 183:
    raise ImproperlyConfigured("AUDIT_RETENTION_DAYS must be at least 183, or 0 for ever.")
# Bearer token for /metrics; without one, only this machine itself may read it.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")


# --- WeChat's platform ---------------------------------------------------------------------------


def _platform_base(name: str, default: str) -> str:
    base: str = env.str(name, default=default).rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in {"https", "http"} or not parts.netloc or parts.path:
        raise ImproperlyConfigured(f"{name} must be an address without a path: {default}")
    if parts.scheme == "http" and not DEBUG:
        raise ImproperlyConfigured(f"DEBUG is off, so {name} must begin with https://")
    return base


# Where calls go to; regional hosts such as https://sh.api.weixin.qq.com take the same calls.
WECHAT_API_BASE = _platform_base("WECHAT_API_BASE", "https://api.weixin.qq.com")
# Where the pictures of QR codes are.
WECHAT_MP_BASE = _platform_base("WECHAT_MP_BASE", "https://mp.weixin.qq.com")
# Seconds: to connect, and between two pieces of an answer.
WECHAT_API_CONNECT_TIMEOUT = env.float("WECHAT_API_CONNECT_TIMEOUT", default=5)
WECHAT_API_READ_TIMEOUT = env.float("WECHAT_API_READ_TIMEOUT", default=10)
# How many customer-service messages (客服消息) a follower's act allows, and for how many seconds.
# WeChat has changed these numbers before: they are the rule of 2023-06-12.
_WINDOWS = {"message": (5, 48 * 3600), "menu": (3, 60), "follow": (3, 60), "scan": (3, 60)}


def _message_windows() -> dict[str, tuple[int, int]]:
    try:
        given = {
            act: (int(messages), int(seconds))
            for act, (messages, seconds) in env.json("MESSAGE_WINDOWS", default={}).items()
        }
        if not given.keys() <= _WINDOWS.keys():
            raise ValueError("unknown act")
    except (AttributeError, TypeError, ValueError):
        raise ImproperlyConfigured(
            'MESSAGE_WINDOWS must be JSON such as {"message": [5, 172800], "follow": [3, 60]}: '
            "messages and seconds, for any of message, menu, follow and scan."
        ) from None
    return _WINDOWS | given


MESSAGE_WINDOWS = _message_windows()
if (
    EVENT_RETENTION_DAYS
    and max(seconds for _, seconds in MESSAGE_WINDOWS.values()) > EVENT_RETENTION_DAYS * 24 * 3600
):
    raise ImproperlyConfigured(
        "EVENT_RETENTION_DAYS is shorter than a window of MESSAGE_WINDOWS, which is computed from "
        "the events: let it be 2 at least."
    )
# The hour of the night, by each account's clock, at which its followers are compared with WeChat's
# list. Empty: never by itself.
_hour = env.str("FOLLOWER_SYNC_HOUR", default="3")
if _hour not in {"", *map(str, range(24))}:
    raise ImproperlyConfigured("FOLLOWER_SYNC_HOUR must be an hour from 0 to 23, or empty.")
FOLLOWER_SYNC_HOUR = int(_hour) if _hour else None
# An outgoing proxy, where its address is the one on the account's list (IP白名单).
WECHAT_API_PROXY = env.str("WECHAT_API_PROXY", default="")


# --- Background work -----------------------------------------------------------------------------

# Empty: `manage.py worker` does it. With Redis or RabbitMQ here, Celery does (docs/workers.md).
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")


# --- Admin ---------------------------------------------------------------------------------------


def _static(name: str) -> str:
    from django.templatetags.static import static

    return static(f"wechat_site/{name}")


def _admin_link(title: Any, icon: str, app: str, model: str) -> dict[str, Any]:
    """A line of the sidebar, for those who may see what it leads to."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{model}"),
    }


UNFOLD = {
    "SITE_TITLE": _("WeChat Official Accounts"),
    "SITE_HEADER": _("WeChat Official Accounts"),
    "SITE_SUBHEADER": _("Events, followers, bindings"),
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: _static("icon.svg")}
    ],
    "STYLES": [lambda request: _static("admin.css")],
    "SCRIPTS": [lambda request: _static("reach.js")],
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {
        "navigation": [
            {"title": _("Second factor"), "link": reverse_lazy("mfa_index")},
            {"title": _("Sessions"), "link": reverse_lazy("usersessions_list")},
            {"title": _("Change password"), "link": reverse_lazy("account_change_password")},
        ]
    },
    "DASHBOARD_CALLBACK": "wechat_site.admin.dashboard.dashboard",
    "COLORS": {
        "primary": {
            "50": "oklch(97% .02 155)",
            "100": "oklch(94% .05 155)",
            "200": "oklch(89% .09 155)",
            "300": "oklch(82% .14 155)",
            "400": "oklch(73% .17 154)",
            "500": "oklch(65% .18 153)",
            "600": "oklch(54% .15 154)",
            "700": "oklch(46% .12 155)",
            "800": "oklch(39% .10 156)",
            "900": "oklch(34% .08 157)",
            "950": "oklch(24% .06 157)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        # The list below names this site's own pages; those of other apps are in the list of all.
        "show_all_applications": bool(EXTRA_APPS),
        "navigation": [
            {
                "items": [
                    _admin_link(_("Inbox"), "inbox", "subscribers", "conversation"),
                    {
                        "title": _("Dashboard"),
                        "icon": "monitoring",
                        "link": reverse_lazy("admin:index"),
                    },
                ],
            },
            {
                "title": _("Receiving"),
                "separator": True,
                "items": [
                    _admin_link(_("Events"), "receipt_long", "events", "eventlog"),
                    _admin_link(_("Search messages"), "search", "events", "messagetext"),
                    _admin_link(_("Reply rules"), "quickreply", "events", "replyrule"),
                    _admin_link(_("Menus"), "menu_book", "events", "menuversion"),
                    _admin_link(_("Official Accounts"), "verified", "events", "officialaccount"),
                ],
            },
            {
                "title": _("Followers"),
                "separator": True,
                "items": [
                    _admin_link(_("Followers"), "group", "subscribers", "subscriber"),
                    _admin_link(_("Saved answers"), "bookmark", "subscribers", "savedanswer"),
                    _admin_link(_("Messages"), "outgoing_mail", "subscribers", "outgoingmessage"),
                    _admin_link(_("Follower syncs"), "sync", "subscribers", "followersync"),
                    _admin_link(
                        _("WeChat's daily figures"), "compare_arrows", "subscribers", "wechatday"
                    ),
                    _admin_link(_("Profiles"), "contact_page", "subscribers", "profilefetch"),
                    _admin_link(_("QR scenes"), "qr_code_2", "subscribers", "qrscene"),
                    _admin_link(_("Bindings"), "link", "subscribers", "binding"),
                    _admin_link(_("Binding requests"), "add_link", "subscribers", "bindingrequest"),
                    _admin_link(
                        _("Binding scans"), "qr_code_scanner", "subscribers", "bindingscan"
                    ),
                ],
            },
            {
                "title": _("Access"),
                "separator": True,
                "items": [
                    _admin_link(_("Users"), "person", "auth", "user"),
                    _admin_link(_("Groups"), "groups", "auth", "group"),
                    _admin_link(_("API keys"), "key", "events", "apikey"),
                    _admin_link(_("Audit list"), "policy", "events", "auditentry"),
                    _admin_link(_("Erasures"), "person_off", "subscribers", "erasure"),
                ],
            },
            {
                "title": _("Operation"),
                "separator": True,
                "items": [
                    _admin_link(_("Background tasks"), "manufacturing", "events", "taskrun"),
                    _admin_link(_("Alerts"), "notification_important", "events", "alert"),
                    _admin_link(_("Alert channels"), "campaign", "events", "alertchannel"),
                    _admin_link(_("Alert messages"), "outgoing_mail", "events", "alertmessage"),
                ],
            },
        ],
    },
}


# --- Logging -------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "filters": {"own_faults": {"()": "wechat_site.log_filters.OwnFaultsFilter"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["own_faults"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # Django has a handler of its own while DEBUG is on, which would say everything twice.
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # One line for each call would bury everything else during a follower sync.
        "httpx": {"level": "WARNING"},
        # So would one for each look at whether there is something to do, several each second.
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}

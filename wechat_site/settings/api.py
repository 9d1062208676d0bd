"""The REST API and its schema."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import env

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["events.api.requests.authentication.ApiKeyAuthentication"],
    "DEFAULT_THROTTLE_CLASSES": ["events.api.requests.authentication.KeyThrottle"],
    "DEFAULT_PERMISSION_CLASSES": ["events.api.requests.authentication.HasScope"],
    "DEFAULT_FILTER_BACKENDS": ["events.api.strict_filters.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "events.api.pagination.NewestFirstPagination",
    "DEFAULT_SCHEMA_CLASS": "events.api.openapi.schema.ApiSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["events.api.requests.parsers.StrictJSONParser"],
    "DEFAULT_VERSIONING_CLASS": None,
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "events.api.requests.negotiation.KnownFormats",
    "DEFAULT_METADATA_CLASS": "events.api.requests.negotiation.NoDescription",
    "EXCEPTION_HANDLER": "events.api.requests.exceptions.answer_to",
}
# How many days a new API key lasts, and how many requests it may make in a minute; each web process
# counts for itself.
API_KEY_DAYS = env.int("API_KEY_DAYS", default=365)
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=1200)
if API_KEY_DAYS < 1 or API_REQUESTS_PER_MINUTE < 1:
    raise ImproperlyConfigured("API_KEY_DAYS and API_REQUESTS_PER_MINUTE must be at least 1.")
SPECTACULAR_SETTINGS = {
    "TITLE": "WeChat Official Account events",
    "DESCRIPTION": (
        "Events, followers, QR codes and bindings of WeChat Official Accounts. "
        "Send the header `Authorization: Bearer <key>`; make a key under *Access → API keys* of "
        "the admin, or with `manage.py create_api_key USERNAME`."
    ),
    "VERSION": "1",
    "DEFAULT_GENERATOR_CLASS": "events.api.openapi.schema.EnglishSchema",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "events.api.openapi.schema.without_defaults_of_answers",
    ],
    "ENUM_NAME_OVERRIDES": {
        "BindingRequestStateEnum": "subscribers.models.BindingRequest.State",
        "EventStatusEnum": "events.models.EventLog.Status",
        "MessageStateEnum": "subscribers.models.outgoing_message.MessageState",
        "QRSceneStateEnum": "subscribers.models.QRScene.State",
    },
}

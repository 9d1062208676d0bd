"""Background work, metrics, the log."""

from __future__ import annotations

from wechat_site.settings.environment import env

# Empty: `manage.py worker` does it. With Redis or RabbitMQ here, Celery does (docs/workers.md).
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")

# Bearer token for /metrics; without one, only this machine itself may read it.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

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

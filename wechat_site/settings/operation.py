"""Background work, metrics, the log."""

from __future__ import annotations

from wechat_site.settings.environment import env

# Empty: `manage.py worker` runs the tasks. With the address of Redis or RabbitMQ, Celery does
# (docs/workers.md).
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")

# The bearer token for /metrics; without one, only this machine may read them.
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
    # While DEBUG is on, Django's own handler would write everything a second time.
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # One line for each call would bury everything else during a follower sync.
        "httpx": {"level": "WARNING"},
        # Celery would write lines each time it asks whether there is work, several times a second.
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}

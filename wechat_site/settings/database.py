"""The database and the caches."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import VAR_DIR, env


def _database() -> dict[str, Any]:
    config: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR}/db.sqlite3")
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN, where SQLite can wait for it. A transaction that
        # begins as a reader and then writes fails at once with "database is locked". With FULL,
        # committed data survives a power cut; with NORMAL it may not.
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=20,  # seconds; a callback has its own (events/db/transactions.py)
            # A checkpoint after 4,000 pages (16 MiB): a page that many commits wrote is then copied
            # into the database only once.
            init_command=(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
            ),
        )
        config["CONN_MAX_AGE"] = None
    elif config["ENGINE"] == "django.db.backends.postgresql":
        # The callback has 5 seconds in all, so waiting longer than 2 for a connection is of no use.
        options.update(
            pool={
                "min_size": 1,
                "max_size": env.int("DATABASE_POOL_SIZE", default=8),
                "timeout": 2,
            },
            connect_timeout=2,
            # PgBouncer gives one connection to many clients, so prepared statements would mix.
            prepare_threshold=None if env.bool("BEHIND_PGBOUNCER", default=False) else 5,
        )
        config["DISABLE_SERVER_SIDE_CURSORS"] = env.bool("BEHIND_PGBOUNCER", default=False)
        config["CONN_HEALTH_CHECKS"] = True
    else:
        raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:// or postgres://")
    return config


DATABASES = {"default": _database()}
CACHES = {
    # For numbers that all processes count together, such as failed sign-ins. It is seldom written.
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "site_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    # For values that each process keeps for itself.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}

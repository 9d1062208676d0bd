from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.core.management import call_command
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class AdminConfig(admin_apps.AdminConfig):
    default = False  # of the two here
    default_site = "wechat_site.admin_site.Site"


class WechatSiteConfig(AppConfig):
    name = "wechat_site"

    def ready(self) -> None:
        # They register themselves.
        from allauth.idp.oidc.models import Client
        from allauth.mfa.models import Authenticator
        from django.utils.translation import gettext_lazy as _

        from events.audit.watched_tables import watch
        from wechat_site.monitoring import alert_rules  # noqa: F401
        from wechat_site.signin import journal, lifetime, second_factor  # noqa: F401
        from wechat_site.signin.roles import make_roles

        # As the sidebar calls them; "client" is the protocol's word.
        Client._meta.verbose_name = _("application")
        Client._meta.verbose_name_plural = _("applications")
        Client._meta.get_field("id").verbose_name = _("client ID")
        watch(Authenticator, ignore=("data", "created_at", "last_used_at"))
        watch(Client, secret=("secret",), ignore=("created_at", "owner"))
        # Both are told of apps with tables, and this one has none.
        last = apps.get_app_config("events")
        pre_migrate.connect(_close_database_to_others, sender=last)
        post_migrate.connect(_make_cache_table, sender=last)
        post_migrate.connect(make_roles, sender=last)
        # What is loaded by now stays: the collector need never look at it.
        gc.freeze()
        gc.enable()


def _close_database_to_others(using: str, **kwargs: Any) -> None:
    """Lets nobody but this user read an SQLite file, nor its write-ahead log."""
    connection = connections[using]
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
        return
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            Path(name + suffix).chmod(0o600)


def _make_cache_table(using: str, **kwargs: Any) -> None:
    """Makes the table that all processes count failed sign-ins in."""
    call_command("createcachetable", database=using, verbosity=0)

"""The Django app: what it connects when the site starts."""

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
    default = False  # WechatSiteConfig is the default of this module
    default_site = "wechat_site.admin_site.Site"


class WechatSiteConfig(AppConfig):
    name = "wechat_site"

    def ready(self) -> None:
        # Some of these modules register themselves when they are imported.
        from allauth.idp.oidc.models import Client
        from allauth.mfa.models import Authenticator
        from django.utils.translation import gettext_lazy as _

        from events.audit.watched_tables import watch
        from wechat_site.monitoring import alert_rules  # noqa: F401
        from wechat_site.signin import journal, lifetime, second_factor  # noqa: F401
        from wechat_site.signin.roles import make_roles

        # The words of the sidebar; "client" is the protocol's word.
        Client._meta.verbose_name = _("application")
        Client._meta.verbose_name_plural = _("applications")
        Client._meta.get_field("id").verbose_name = _("client ID")
        watch(Authenticator, ignore=("data", "created_at", "last_used_at"))
        watch(Client, secret=("secret",), ignore=("created_at", "owner"))
        # Django sends these signals only for apps with models, and this app has none.
        last = apps.get_app_config("events")
        pre_migrate.connect(_close_database_to_others, sender=last)
        post_migrate.connect(_make_cache_table, sender=last)
        post_migrate.connect(make_roles, sender=last)
        # What is loaded by now stays for ever, so the garbage collector need not look at it.
        gc.freeze()
        gc.enable()


def _close_database_to_others(using: str, **kwargs: Any) -> None:
    """Lets only this system user read an SQLite file and its write-ahead log."""
    connection = connections[using]
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
        return
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            Path(name + suffix).chmod(0o600)


def _make_cache_table(using: str, **kwargs: Any) -> None:
    """Makes the cache table in which all processes count failed sign-ins."""
    call_command("createcachetable", database=using, verbosity=0)

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    name = "subscribers"
    verbose_name = _("Followers")

    def ready(self) -> None:
        from subscribers.state.sqlite_planner import describe_followers

        post_migrate.connect(describe_followers, sender=self)

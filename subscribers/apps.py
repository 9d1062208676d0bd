from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    name = "subscribers"
    verbose_name = _("Followers")

    def ready(self) -> None:
        from subscribers import projections, replies  # noqa: F401  (they register themselves)

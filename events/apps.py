from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = _("Receiving")

    def ready(self) -> None:
        from events import reply_rules  # noqa: F401  (registers the reply handlers)

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_migrate, post_save
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = _("Receiving")

    def ready(self) -> None:
        from events import (
            directory,
            # They register the reply handlers and what the metrics say of the partitions.
            partitions,  # noqa: F401
            reply_rules,  # noqa: F401
        )
        from events.sqlite_planner import describe_log

        for signal in (post_save, post_delete):
            for model in ("OfficialAccount", "ReplyRule"):
                signal.connect(directory.forget, sender=f"events.{model}")
        post_migrate.connect(describe_log, sender=self)

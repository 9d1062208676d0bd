from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    name = "subscribers"
    verbose_name = _("Followers")

    def ready(self) -> None:
        # Each registers what it does with events.
        from subscribers.binding import replies  # noqa: F401
        from subscribers.messages import send  # noqa: F401
        from subscribers.state import carried_over, projections  # noqa: F401
        from subscribers.state.sqlite_planner import describe_followers

        post_migrate.connect(describe_followers, sender=self)

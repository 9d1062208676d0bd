"""The Django app: what it connects when the site starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate, post_save, pre_migrate
from django.utils.translation import gettext_lazy as _


class SubscribersConfig(AppConfig):
    name = "subscribers"
    verbose_name = _("Followers")

    def ready(self) -> None:
        from events.audit.watched_tables import watch
        from subscribers.binding.bind import note_new_user_name
        from subscribers.campaigns import tag_comers  # noqa: F401  (puts on a code's tags)
        from subscribers.inbox import (
            keep,  # noqa: F401  (keeps conversations up to date)
            media,  # noqa: F401  (notes files of messages)
        )
        from subscribers.models import (
            BindingText,
            QRScene,
            SavedAnswer,
            SceneTag,
            Segment,
            WebhookEndpoint,
        )
        from subscribers.models.reporting.report import (
            drop_report_of_followers,
            make_report_of_followers,
        )
        from subscribers.models.reporting.reported_changes import forget_changes, note_changes
        from subscribers.state.sqlite_planner import describe_followers
        from subscribers.webhooks.outbox import drop_triggers, make_triggers

        post_migrate.connect(describe_followers, sender=self)
        pre_migrate.connect(forget_changes, sender=self)
        post_migrate.connect(note_changes, sender=self)
        pre_migrate.connect(drop_triggers, sender=self)
        post_migrate.connect(make_triggers, sender=self)
        pre_migrate.connect(drop_report_of_followers, sender=self)
        post_migrate.connect(make_report_of_followers, sender=self)
        # The fields that users edit; the worker writes the others.
        written = {
            "account", "scene", "name", "note", "is_permanent", "expire_seconds", "group", "owner",
            "runs_from", "runs_until", "follower_tags", "logo",
        }  # fmt: skip
        ignored = {field.name for field in QRScene._meta.concrete_fields} - written
        watch(QRScene, ignore=tuple(ignored), many=("tags",))
        watch(SceneTag)
        watch(SavedAnswer)
        watch(BindingText)
        watch(Segment, keep_states=True)
        watch(
            WebhookEndpoint,
            ignore=(
                *("after_event_id", "previous_secret", "previous_until", "failures"),
                *("failing_since", "retry_at", "created_at"),
            ),
            # An address may hold a password.
            secret=("secret", "url"),
        )
        post_save.connect(note_new_user_name, sender=settings.AUTH_USER_MODEL)

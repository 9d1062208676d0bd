"""Connects the parts of this app when the site starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_delete, post_migrate, post_save, pre_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = _("Receiving")

    def ready(self) -> None:
        from events import account_cache
        from events.alerts import looks  # noqa: F401  (registers what is watched)
        from events.answering import answer  # noqa: F401  (registers the reply handlers)
        from events.db.sqlite_lock import wait_outside
        from events.db.utc_times import read_quickly
        from events.log.log_proportions import describe_log
        from events.log.report import drop_report_of_events, make_report_of_events
        from events.log.row_changes import forget_changes_of_events, note_changes_of_events
        from events.media.account_picture import forget_picture
        from events.models.stats.judgement import judge_when_corrected
        from events.retention import bodies, partitions  # noqa: F401
        from events.search import fill  # noqa: F401  (follows removed and restored events)
        from events.stats.counting import removal  # noqa: F401  (keeps counts of removed events)

        # The `wechat.py` of every app, in the order of INSTALLED_APPS: it registers projections and
        # reply handlers.
        autodiscover_modules("wechat")

        self._watch()
        for signal in (post_save, post_delete):
            for model in ("OfficialAccount", "RuleVersion"):
                signal.connect(account_cache.forget, sender=f"events.{model}")
        post_delete.connect(forget_picture, sender="events.OfficialAccount")
        post_save.connect(judge_when_corrected, sender="events.OfficialAccount")
        connection_created.connect(wait_outside)
        connection_created.connect(read_quickly)
        post_migrate.connect(describe_log, sender=self)
        pre_migrate.connect(forget_changes_of_events, sender=self)
        post_migrate.connect(note_changes_of_events, sender=self)
        pre_migrate.connect(drop_report_of_events, sender=self)
        post_migrate.connect(make_report_of_events, sender=self)

    def _watch(self) -> None:
        """Makes the audit record every change of the tables that people edit."""
        from django.contrib.auth.models import Group, User

        from events.audit.watched_tables import watch
        from events.models import (
            ACCOUNT_SECRETS,
            AccountLimit,
            AlertChannel,
            AlertLimits,
            ApiKey,
            MediaFile,
            OfficialAccount,
            ReplyRule,
        )

        watch(
            OfficialAccount,
            secret=("callback_key", *ACCOUNT_SECRETS),
            ignore=(
                "created_at", "updated_at", "token_changed_at", "encoding_aes_key_changed_at",
                "previous_token", "previous_encoding_aes_key",
            ),
        )  # fmt: skip
        watch(ReplyRule, keep_states=True)
        watch(
            ApiKey,
            secret=("digest",),
            ignore=("created_at", "last_used_at", "last_used_from"),
            many=("accounts",),
        )
        watch(
            User,
            secret=("password",),
            ignore=("last_login", "date_joined"),
            many=("groups", "user_permissions"),
        )
        watch(AlertLimits)
        watch(AlertChannel, secret=("url",), ignore=("created_at",))
        shown = {"account", "title", "kind"}
        jobs = tuple(f.name for f in MediaFile._meta.concrete_fields if f.name not in shown)
        watch(MediaFile, ignore=jobs)
        watch(Group, many=("permissions",))
        watch(AccountLimit, many=("accounts",))

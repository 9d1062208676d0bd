"""The jobs behind tags, remarks and files of messages: what waits, what failed and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from events.admin.access import AccountModelAdmin
from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.hindered import NeedsRight
from events.admin.html import moment
from events.admin.list_filters import AccountFilter
from events.kinds import label
from events.platform.failures import EXPLANATIONS
from subscribers.inbox import media
from subscribers.models import FollowerEdit, ReceivedMedia, TagRead
from subscribers.tagging.edit_jobs import FAILURES

__all__ = ["FollowerEditAdmin", "JobAdmin", "ReceivedMediaAdmin", "TagReadAdmin"]


class JobAdmin(ReadOnly, AccountModelAdmin):
    """A list of jobs. Users who may change followers may also retry jobs."""

    actions = ["try_again"]
    sentences = EXPLANATIONS

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_subscriber")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A row's page shows the same fields as its line in the list."""
        return ["state" if name == "badge" else name for name in self.list_display]

    @display(description=_("status"))
    def state(self, job: Any) -> str:
        return self.badge(job)[1]

    @display(
        description=_("status"),
        label={"done": "success", "waiting": "info", "retry_later": "warning", "failed": "danger"},
    )
    def badge(self, job: Any) -> tuple[str, str]:
        if job.due_at is None:
            return ("failed", str(_("failed"))) if job.failure else ("done", str(_("done")))
        if job.failure:
            return "retry_later", str(_("retried later"))
        return "waiting", str(_("waiting"))

    @display(description=_("reason"))
    def why(self, job: Any) -> str:
        if not job.failure:
            return "–"
        return f"{self.sentences.get(job.failure, job.failure)} {job.failure_text}".strip()

    @action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: Any) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        self.model._default_manager.filter(pk__in=chosen).try_again(timezone.now())


@admin.register(FollowerEdit)
class FollowerEditAdmin(NeedsRight, JobAdmin, KeysetModelAdmin):
    needs_right = "/cgi-bin/tags/get"
    list_display = ["created", "act", "tag_name", "number", "badge", "why", "account"]
    list_display_links = None
    list_filter = [AccountFilter]
    sentences = FAILURES

    @display(description=_("created"))
    def created(self, edit: FollowerEdit) -> str:
        return moment(edit.created_at, edit.account)

    @display(description=_("followers"))
    def number(self, edit: FollowerEdit) -> int:
        return len(edit.people)


@admin.register(TagRead)
class TagReadAdmin(JobAdmin):
    list_display = ["account", "badge", "why", "read"]
    list_display_links = None

    @display(description=_("read from WeChat"))
    def read(self, read: TagRead) -> str:
        return moment(read.read_at, read.account)


@admin.register(ReceivedMedia)
class ReceivedMediaAdmin(JobAdmin, KeysetModelAdmin):
    """Which files of messages were fetched; the files themselves are in the inbox."""

    list_display = ["sent", "kind_in_words", "badge", "why", "account"]
    list_display_links = None
    list_filter = [AccountFilter]
    sentences = media.FAILURES

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_conversation")

    @display(description=_("event time"))
    def sent(self, received: ReceivedMedia) -> str:
        return moment(received.event_time, received.account)

    @display(description=_("kind"))
    def kind_in_words(self, received: ReceivedMedia) -> str:
        return label(received.kind)

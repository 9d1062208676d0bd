"""The operators' page of background tasks: what waits, what failed and why, what ran when."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from events.admin.access import OfAllAccounts
from events.admin.base import ModelAdmin
from events.admin.changelist import ReadOnly
from events.admin.html import confirmation
from events.audit.record import record
from events.jobs.queues import COUNTED_UP_TO, Queue
from events.jobs.task import Task
from events.models import TaskRun
from wechat_site.tasks import TASKS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["TasksAdmin"]


@admin.register(TaskRun)
class TasksAdmin(OfAllAccounts, ReadOnly, ModelAdmin):
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.overview), name="events_taskrun_changelist"),
            path("try-again/", view(self.try_again), name="events_taskrun_try_again"),
            path("run-now/", view(self.run_now), name="events_taskrun_run_now"),
        ]

    def overview(self, request: HttpRequest) -> HttpResponse:
        """The page itself."""
        if not self.has_view_permission(request):
            raise Http404
        now = timezone.now()
        runs = TaskRun.objects.in_bulk([task.name for task in TASKS])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Background jobs"),
            "queues": [_queue_row(request, task, now) for task in TASKS if task.queue],
            "tasks": [_task_row(request, task, runs.get(task.name), now) for task in TASKS],
            "is_silent": TaskRun.objects.is_silent(now),
        }
        return TemplateResponse(request, "admin/tasks.html", context)

    def try_again(self, request: HttpRequest) -> HttpResponse:
        """Asks to confirm, then makes a queue's rows due again that failed for one reason."""
        task, reason = _task_named(request), request.GET.get("reason", "")
        queue = task.queue
        may_try = self.has_view_permission(request) and _may_try_again(request, task)
        if queue is None or not may_try:
            raise Http404
        if request.method != "POST":
            number = queue.failures(timezone.now()).get(reason, 0)
            return confirmation(
                request,
                self,
                title=_("Try again"),
                sentences=[
                    f"{_title(task)}: {queue.in_words(reason)}",
                    ngettext(
                        "%s row is queued again, if that is still of use.",
                        "%s rows are queued again, those of which it is still of use.",
                        number,
                    )
                    % number,
                ],
                back=_overview_url(),
            )
        with transaction.atomic():
            queued = queue.try_again(reason, timezone.now())
            record(
                "try_again",
                queue.model,
                details={"task": task.name, "reason": reason, "rows": queued},
            )
        if queued:
            messages.success(
                request, ngettext("%s row queued.", "%s rows queued.", queued) % queued
            )
        else:
            messages.info(request, _("None of these rows can be tried again: the list says why."))
        return HttpResponseRedirect(_overview_url())

    def run_now(self, request: HttpRequest) -> HttpResponse:
        """Asks to confirm, then makes a scheduled task due at once."""
        task = _task_named(request)
        may_run = request.user.has_perm("events.change_taskrun")
        if task.queue is not None or not (may_run and self.has_view_permission(request)):
            raise Http404
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Run now"),
                sentences=[
                    _title(task),
                    _("A worker starts within seconds; the schedule then continues."),
                ],
                back=_overview_url(),
            )
        with transaction.atomic():
            TaskRun.objects.filter(pk=task.name).update(next_run_at=timezone.now())
            record("run", TaskRun, details={"task": task.name})
        messages.success(request, _("A worker will start within seconds."))
        return HttpResponseRedirect(_overview_url())


def _overview_url() -> str:
    return reverse("admin:events_taskrun_changelist")


def _task_named(request: HttpRequest) -> Task:
    for task in TASKS:
        if task.name == request.GET.get("task"):
            return task
    raise Http404


def _title(task: Task) -> StrOrPromise:
    return task.title or task.name


def _may(request: HttpRequest, act: str, task: Task) -> bool:
    if task.queue is None:
        return False
    meta = task.queue.model._meta
    return request.user.has_perm(f"{meta.app_label}.{act}_{meta.model_name}")


def _may_try_again(request: HttpRequest, task: Task) -> bool:
    """Whether the user may change the queue's rows, or all tasks if nobody changes such rows."""
    if task.queue is not None and "change" not in task.queue.model._meta.default_permissions:
        return request.user.has_perm("events.change_taskrun")
    return _may(request, "change", task)


def _queue_row(request: HttpRequest, task: Task, now: datetime.datetime) -> dict[str, Any]:
    assert task.queue is not None
    waiting = task.queue.waiting()
    since = task.queue.due_since(now)
    may_look = _may(request, "view", task)
    return {
        "title": _title(task),
        "waiting": f"{COUNTED_UP_TO}+" if waiting >= COUNTED_UP_TO else str(waiting),
        "oldest": timesince(since, now) if since else "",
        "failures": [
            {
                "reason": task.queue.in_words(reason),
                "number": number,
                "url": _list_url(task.queue, reason) if may_look else "",
                "again": _url("try_again", task=task.name, reason=reason)
                if _may_try_again(request, task)
                else "",
            }
            for reason, number in sorted(
                task.queue.failures(now).items(), key=lambda counted: -counted[1]
            )
        ],
    }


def _task_row(
    request: HttpRequest, task: Task, run: TaskRun | None, now: datetime.datetime
) -> dict[str, Any]:
    may_run = task.queue is None and request.user.has_perm("events.change_taskrun")
    leased_until = None if run is None else run.leased_until
    return {
        "title": _title(task),
        "schedule": _schedule(task),
        "run": run,
        "seconds": None if run is None or run.duration_ms is None else run.duration_ms / 1000,
        # A worker that was killed leaves its lease behind.
        "is_running": leased_until is not None and leased_until > now,
        "run_now": _url("run_now", task=task.name) if may_run else "",
    }


def _schedule(task: Task) -> str:
    if task.queue is not None:
        return str(_("all the time"))
    if task.at is not None:
        return str(_("daily at %s") % f"{task.at:%H:%M}")
    seconds = task.every or 0
    if seconds < 120:
        return ngettext("every %s second", "every %s seconds", int(seconds)) % f"{seconds:g}"
    if seconds % 3600 == 0:
        hours = int(seconds // 3600)
        return ngettext("every %s hour", "every %s hours", hours) % hours
    minutes = int(seconds // 60)
    return ngettext("every %s minute", "every %s minutes", minutes) % minutes


def _list_url(queue: Queue, reason: str) -> str:
    """The address of the admin's list of rows that failed for this reason."""
    meta = queue.model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return f"{url}?{urlencode(queue.failed_filter(reason))}"


def _url(name: str, **query: str) -> str:
    return f"{reverse(f'admin:events_taskrun_{name}')}?{urlencode(query)}"

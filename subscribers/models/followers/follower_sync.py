"""The table of follower syncs; any worker can carry a run on."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models.job import Job, JobQuerySet, LeaseLost
from events.platform.failures import EXPLANATIONS
from events.wechat.api import NotPermitted

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django_stubs_ext import StrOrPromise

    from events.models import OfficialAccount

__all__ = ["ENDLESS_LIST", "FAILURES", "WRONG_ACCOUNT", "FollowerSync"]

# Values of `failure` for runs that stopped without an error of the API.
ENDLESS_LIST = "endless_list"
WRONG_ACCOUNT = "wrong_account"

# What operators read for each `failure`; pages show WeChat's own words beside it.
FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    NotPermitted.label: _(
        "WeChat does not let this account ask for its followers: that takes a certified account "
        "(已认证)."
    ),
    ENDLESS_LIST: _("WeChat's list does not end; another try reads it from the start."),
    WRONG_ACCOUNT: _("WeChat knows none of this account's followers. Is the AppID the right one?"),
}


class FollowerSyncQuerySet(JobQuerySet["FollowerSync"]):
    def open(self) -> FollowerSyncQuerySet:
        """Runs that have not ended: under way, retried later, or waiting for an operator."""
        return self.filter(state__in=[FollowerSync.State.LISTING, FollowerSync.State.COMPARING])

    def failed(self) -> FollowerSyncQuerySet:
        """Runs that wait for an operator; an abandoned run keeps its reason, but has ended."""
        return self.open().filter(due_at=None).exclude(failure="")

    def begin(
        self,
        account: OfficialAccount,
        *,
        origin: str,
        now: datetime.datetime,
        by: User | None = None,
        anew: bool = False,
    ) -> tuple[FollowerSync, bool]:
        """Returns the account's open run, and whether it is new; an account has one at a time.

        A new run replaces an open one that waits for an operator or, with `anew`, one that no
        worker holds.
        """
        present = self.open().filter(account=account)
        given_up = present.filter(due_at=None)
        if anew:
            given_up = present.filter(Q(leased_until=None) | Q(leased_until__lte=now))
        given_up.update(
            state=FollowerSync.State.ABANDONED,
            finished_at=now,
            due_at=None,
            lease="",
            leased_until=None,
        )
        try:
            with transaction.atomic():
                made = self.create(
                    account=account, origin=origin, requested_by=by, requested_at=now, due_at=now
                )
        except IntegrityError:
            found = present.first()
            # If there is no row, the other run has just ended.
            return (found, False) if found else self.begin(account, origin=origin, now=now, by=by)
        return made, True

    def keep(
        self,
        row: FollowerSync,
        *,
        until: datetime.datetime,
        counts: Mapping[str, int],
        **columns: Any,
    ) -> None:
        """Writes a claimed run's progress, adds the counts, and extends its lease.

        Raises `LeaseLost` if another worker holds the run; the caller's transaction must then fail.
        """
        mine = self.filter(pk=row.pk, lease=row.lease).exclude(lease="")
        columns |= {name: getattr(row, name) + number for name, number in counts.items()}
        # A success ends a series of failures.
        columns |= {"attempts": 1, "failure": "", "failure_text": "", "failed_at": None}
        if not mine.update(leased_until=until, **columns):
            raise LeaseLost(f"follower sync {row.pk}")
        for name, value in columns.items():
            setattr(row, name, value)


class FollowerSync(Job):
    """A run that compares our followers with WeChat's list, its progress and its report.

    Progress: `next_openid` says which page of WeChat's list is next. On that page, all OpenIDs up
    to `taken_to` are done. `read` counts the OpenIDs read. `last_subscriber` is the last of our
    followers, missing on the list, whom the run asked WeChat for.
    Report: `seen` counts the OpenIDs on the list; it is the sum of `new`, `missed_follows`,
    `unchanged` and `left`. `missed_unfollows` and `unknown` are not part of it.
    """

    class State(models.TextChoices):
        LISTING = "listing", _("reading WeChat's list")
        COMPARING = "comparing", _("asking for followers who are not on it")
        FINISHED = "finished", _("finished")
        ABANDONED = "abandoned", _("replaced by a later one")

    class Origin(models.TextChoices):
        SCHEDULE = "schedule", _("every night")
        OPERATOR = "operator", _("an operator")
        COMMAND = "command", _("the command line")

    account = models.ForeignKey(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        db_index=False,  # an index below begins with it
        related_name="follower_syncs",
        verbose_name=_("Official Account"),
    )
    state = models.CharField(
        _("status"), max_length=10, choices=State.choices, default=State.LISTING
    )
    origin = models.CharField(_("requested by"), max_length=10, choices=Origin.choices)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
    )
    requested_at = models.DateTimeField(_("requested"))
    # Without fractions of a second, as event times are: missed unfollows get this time.
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    next_openid = models.CharField(max_length=64, blank=True, default="", editable=False)
    taken_to = models.CharField(max_length=64, blank=True, default="", editable=False)
    read = models.BigIntegerField(default=0, editable=False)
    last_subscriber = models.BigIntegerField(default=0, editable=False)
    total = models.PositiveIntegerField(_("followers by WeChat's count"), null=True, blank=True)
    seen = models.PositiveIntegerField(_("seen"), default=0)
    new = models.PositiveIntegerField(_("new"), default=0)
    missed_follows = models.PositiveIntegerField(_("missed follows"), default=0)
    missed_unfollows = models.PositiveIntegerField(_("missed unfollows"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    left = models.PositiveIntegerField(_("left meanwhile"), default=0)
    unknown = models.PositiveIntegerField(_("OpenIDs that WeChat does not know"), default=0)

    objects = FollowerSyncQuerySet.as_manager()

    class Meta:
        verbose_name = _("follower sync")
        verbose_name_plural = _("follower syncs")
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                name="follower_sync_one_open",
                condition=Q(state__in=["listing", "comparing"]),
            ),
            models.CheckConstraint(
                name="follower_sync_end",
                condition=Q(state__in=["listing", "comparing"], finished_at=None)
                | Q(state__in=["finished", "abandoned"], finished_at__isnull=False, due_at=None),
            ),
        ]
        indexes = [
            # One account's runs, newest first.
            models.Index(fields=["account", "id"], name="follower_sync_account"),
            # The run that the worker takes next.
            models.Index(
                fields=["due_at"], name="follower_sync_due", condition=Q(due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.state in {self.State.LISTING, self.State.COMPARING}

    @property
    def has_failed(self) -> bool:
        """Whether the run has failed and waits for an operator."""
        return self.is_open and self.due_at is None

    @property
    def reason(self) -> str:
        """Why it failed or is retried, in the current language and then in WeChat's words."""
        sentences = (str(FAILURES.get(self.failure, "")), self.failure_text)
        return " ".join(sentence for sentence in sentences if sentence)

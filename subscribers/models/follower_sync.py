"""One comparison of our followers with WeChat's list, as a row that any worker can carry on."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models.job import Job, JobQuerySet
from events.platform.failures import EXPLANATIONS
from events.wechat.api import NotPermitted

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django_stubs_ext import StrOrPromise

    from events.models import OfficialAccount

__all__ = ["DATABASE", "ENDLESS_LIST", "FAILURES", "WRONG_ACCOUNT", "FollowerSync", "LeaseLost"]

# What `failure` holds when it was not the platform that failed.
DATABASE = "database"
ENDLESS_LIST = "endless_list"
WRONG_ACCOUNT = "wrong_account"

# What operators are told, by `failure`. The platform's own words stand beside it.
FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    NotPermitted.label: _(
        "WeChat does not let this account ask for its followers: that takes a certified account "
        "(已认证)."
    ),
    DATABASE: _("The database was not to be had."),
    ENDLESS_LIST: _("WeChat's list does not come to an end; another try reads it from the start."),
    WRONG_ACCOUNT: _("WeChat knows none of this account's followers. Is the AppID the right one?"),
}


class LeaseLost(Exception):
    """Another worker has taken the run over: nothing more may be written here."""


class FollowerSyncQuerySet(JobQuerySet["FollowerSync"]):
    def open(self) -> FollowerSyncQuerySet:
        """Runs that have not come to their end: under way, put off, or waiting for an operator."""
        return self.filter(state__in=[FollowerSync.State.LISTING, FollowerSync.State.COMPARING])

    def failed(self) -> FollowerSyncQuerySet:
        """Runs that wait for an operator. One that was given up keeps its reason, and is done."""
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
        """The account's run, and whether it is a new one: there is one at a time.

        An open one is given up for a new one if it waits for an operator, or, with `anew`, if
        nobody is at it just now.
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
            # Or it has come to its end this moment.
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
        """Writes what a claimed run has come to, adds the counts, and prolongs its lease.

        Raises `LeaseLost` if it is not ours any more; the caller's transaction is to fail then.
        """
        mine = self.filter(pk=row.pk, lease=row.lease).exclude(lease="")
        columns |= {name: getattr(row, name) + number for name, number in counts.items()}
        # What went well ends a series of failures.
        columns |= {"attempts": 1, "failure": "", "failure_text": "", "failed_at": None}
        if not mine.update(leased_until=until, **columns):
            raise LeaseLost(f"follower sync {row.pk}")
        for name, value in columns.items():
            setattr(row, name, value)


class FollowerSync(Job):
    """A run, with how far it has come and, at its end, its report.

    `next_openid` is the page of WeChat's list, `taken_to` a place on it before which nothing is
    left to do, `read` how many OpenIDs were read in all, and `last_subscriber` the place among our
    followers who were not on it. `seen` is the number of those on the list, and the sum of `new`,
    `missed_follows`, `unchanged` and `left`; `missed_unfollows` and `unknown` come on top.
    """

    class State(models.TextChoices):
        LISTING = "listing", _("reading WeChat's list")
        COMPARING = "comparing", _("asking for those who were not on it")
        FINISHED = "finished", _("finished")
        ABANDONED = "abandoned", _("given up for a later one")

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
    # To the second, as events are: what was missed is dated by it.
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
    unknown = models.PositiveIntegerField(_("OpenIDs WeChat does not know"), default=0)

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
            # What the worker takes next.
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
        """Whether it goes on only when an operator says so."""
        return self.is_open and self.due_at is None

    @property
    def reason(self) -> str:
        """Why it failed or was put off, in the current language and then in WeChat's words."""
        sentences = (str(FAILURES.get(self.failure, "")), self.failure_text)
        return " ".join(sentence for sentence in sentences if sentence)

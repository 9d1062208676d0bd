"""The table of jobs that fetch profiles; it says too whether an account may ask for them."""

from __future__ import annotations

import datetime

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.job import Job, JobQuerySet
from events.platform.failures import explanation
from events.wechat.api import NotPermitted
from events.wechat.api.transport.answer_fields import storable

__all__ = ["ProfileFetch"]


class ProfileFetchQuerySet(JobQuerySet["ProfileFetch"]):
    def of(self, account: OfficialAccount) -> ProfileFetch:
        """The account's row; makes it if it is missing."""
        return self.get_or_create(account=account)[0]

    def refuse(self, account: OfficialAccount, error: NotPermitted, now: datetime.datetime) -> None:
        """Notes that WeChat does not let the account ask, so that nothing asks again."""
        row = self.of(account)
        self.filter(pk=row.pk).update(
            due_at=None,
            lease="",
            leased_until=None,
            failure=error.label,
            failure_text=storable(str(error)),
            failed_at=now,
        )

    def permit(self, account: OfficialAccount) -> None:
        """Ends a refusal, since WeChat has answered; the account's job is due again."""
        self.filter(account=account, failure=NotPermitted.label).update(
            due_at=F("failed_at"), failure="", failure_text="", failed_at=None
        )

    def reopen_changed(self, now: datetime.datetime) -> int:
        """Makes jobs due that failed before their account was changed: the change may help."""
        return self.failed().filter(failed_at__lt=F("account__updated_at")).try_again(now)


class ProfileFetch(Job):
    """The job that fetches the profiles of one account's followers.

    The followers' rows say which profiles are missing or out of date. WeChat refuses the whole
    account if it has no right to ask (48001: not certified, or a subscription account).
    """

    account = models.OneToOneField(
        OfficialAccount,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="profile_fetch",
        verbose_name=_("Official Account"),
    )

    objects = ProfileFetchQuerySet.as_manager()

    class Meta:
        verbose_name = _("profile fetch")
        verbose_name_plural = _("profile fetches")

    def __str__(self) -> str:
        return self.account.name

    @property
    def is_refused(self) -> bool:
        """Whether WeChat has said that this account has no right to ask for followers."""
        return (
            self.failure == NotPermitted.label
            and self.failed_at is not None
            and self.failed_at >= self.account.updated_at
        )

    @property
    def reason(self) -> str:
        """Why it failed or is retried, in the current language and then in WeChat's words."""
        sentences = (explanation(self.failure), self.failure_text)
        return " ".join(sentence for sentence in sentences if sentence)

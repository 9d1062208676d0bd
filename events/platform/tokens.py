"""Shares an account's access token between all processes and nodes, through the database.

One process refreshes at a time: it claims the lease, reads the row again, calls WeChat with no
transaction open, and writes only while it holds the lease. Other processes use the old token as
long as it works, or wait. If the refresher is killed, nothing is lost: its lease runs out, and
WeChat gives the next refresher the same token.

Each node compares leases and lifetimes with its own clock. If clocks differ by more than a lease,
two nodes may call WeChat at the same time; `stable_token` gives both the same token.
"""

from __future__ import annotations

import datetime
import logging
import secrets
import time
from collections.abc import Callable

from django.utils import timezone

from events.delays import TOKEN, TOKEN_REFUSED, lasting
from events.models import OfficialAccount, SharedJsTicket
from events.models.platform.access_token import SharedAccessToken
from events.wechat.api import (
    AccessToken,
    APIError,
    AppCredentials,
    Refused,
    Unreachable,
    Wire,
    fetch_stable_token,
)
from events.wechat.api.transport.answer_fields import storable

__all__ = ["LEASE", "AccountSwitchedOff", "NoAppSecret", "SharedTokens", "TokenPaused", "is_paused"]

logger = logging.getLogger(__name__)

# Longer than the longest call (`Timeouts.total`), so that a living refresher keeps its lease.
LEASE = datetime.timedelta(seconds=30)

# In these seconds after a refresh WeChat has no newer token, so a rejected one is not replaced.
_SAME_AGAIN_SECONDS = 30

# Seconds between two queries of the row while another process refreshes.
_LOOK_EVERY = 0.1

_MESSAGE_LENGTH = 500


class TokenPaused(APIError):
    """There is no token, and the site does not ask WeChat again before `until`.

    `failure`, `errcode` and `rid` describe the last failure: see `SharedAccessToken`.
    """

    label = "token_paused"
    is_temporary = True

    def __init__(self, row: SharedAccessToken) -> None:
        super().__init__(f"no access token until {row.next_attempt_at}: {row.failure_message}")
        self.failure = row.failure
        self.errcode = row.failure_code
        self.rid = row.failure_rid
        self.until = row.next_attempt_at


class AccountSwitchedOff(APIError):
    """The account is switched off, so the site does not call WeChat for it."""

    label = "inactive"

    def __init__(self, slug: str) -> None:
        super().__init__(f"{slug} is switched off")


class NoAppSecret(APIError):
    """The account has no AppID or no AppSecret, so the site cannot call WeChat for it."""

    label = "no_app_secret"


class SharedTokens:
    """The `TokenSource` of one account. `now` is a clock; a refresher may take up to `lease`.

    Call it outside a transaction: a refresh raises RuntimeError inside one.
    """

    def __init__(
        self,
        account: OfficialAccount,
        wire: Wire,
        *,
        now: Callable[[], datetime.datetime] = timezone.now,
        lease: datetime.timedelta = LEASE,
    ) -> None:
        self._account = account
        self._wire = wire
        self._now = now
        self._lease = lease

    def get(self) -> AccessToken:
        """Returns a token for a call; refreshes it before its end.

        Raises `AccountSwitchedOff`. If no token works any more, raises `NoAppSecret`, `TokenPaused`
        for some time after a failure, or the errors of `fetch_stable_token`.
        """
        if not self._account.is_active:
            raise AccountSwitchedOff(self._account.slug)
        row = self._read()
        token = self._token_in(row)
        if token is not None and self._seconds() < token.refresh_at:
            return token
        return self._renew(rejected="", usable=token)

    def refresh(self, rejected: AccessToken) -> AccessToken:
        """Returns another token than the rejected one, or the same if WeChat has no other."""
        row = self._read()
        token = self._token_in(row)
        if token is not None and (
            token.value != rejected.value
            or self._seconds() < token.fetched_at + _SAME_AGAIN_SECONDS
        ):
            return token
        return self._renew(rejected=rejected.value, usable=None)

    def _renew(self, *, rejected: str, usable: AccessToken | None) -> AccessToken:
        """Returns a new token, fetched here or by another process; meanwhile the usable one."""
        holder = secrets.token_hex(16)
        give_up_at = time.monotonic() + 2 * self._lease.total_seconds()
        while True:
            row = self._read()
            token = self._token_without_call(row, rejected, usable)
            if token is not None:
                return token
            if self._claim(holder):
                return self._renew_as_holder(holder, rejected, usable)
            if usable is not None:
                return usable
            if time.monotonic() > give_up_at:
                raise Unreachable(
                    "stable_token", "another process did not refresh it", may_have_arrived=False
                )
            time.sleep(_LOOK_EVERY)

    def _token_without_call(
        self, row: SharedAccessToken, rejected: str, usable: AccessToken | None
    ) -> AccessToken | None:
        """Returns the token to use without a call; None if a call is necessary."""
        token = self._token_in(row)
        # Any other token can replace a rejected one.
        if (
            token is not None
            and token.value != rejected
            and (rejected or self._seconds() < token.refresh_at)
        ):
            return token
        if is_paused(row, self._account, self._now()):
            if usable is None:
                raise TokenPaused(row)
            return usable
        return None

    def _renew_as_holder(
        self, holder: str, rejected: str, usable: AccessToken | None
    ) -> AccessToken:
        try:
            # Another process may have refreshed, or failed to, before the claim.
            row = self._read()
            token = self._token_without_call(row, rejected, usable)
            if token is not None:
                return token
            try:
                fresh = self._fetch()
            except APIError as error:
                self._note_failure(holder, row.failures, error)
                if usable is not None:
                    return usable
                raise
            kept = SharedAccessToken.objects.write(
                self._account.pk,
                holder,
                app_id=self._account.app_id,
                access_token=fresh.value,
                refreshed_at=_moment(fresh.fetched_at),
                expires_at=_moment(fresh.expires_at),
                failure="",
                failure_code=None,
                failure_message="",
                failure_rid="",
                failed_at=None,
                failures=0,
                next_attempt_at=None,
            )
            if kept:
                return fresh
            # This lease ran out; the process that took it over has a token at least as new.
            return self._token_in(self._read()) or fresh
        finally:
            SharedAccessToken.objects.release(self._account.pk, holder)

    def _fetch(self) -> AccessToken:
        if not (self._account.app_id and self._account.app_secret):
            raise NoAppSecret(f"{self._account.slug} has no AppID or no AppSecret")
        credentials = AppCredentials(self._account.app_id, self._account.app_secret)
        return fetch_stable_token(self._wire, credentials, now=self._seconds)

    def _read(self) -> SharedAccessToken:
        return SharedAccessToken.objects.of(self._account.pk)

    def _token_in(self, row: SharedAccessToken) -> AccessToken | None:
        """Returns the row's token if it is for this AppID and still works."""
        if (
            not row.access_token
            or row.app_id != self._account.app_id
            or row.refreshed_at is None
            or row.expires_at is None
            or row.expires_at <= self._now()
        ):
            return None
        return AccessToken(
            row.access_token, row.refreshed_at.timestamp(), row.expires_at.timestamp()
        )

    def _claim(self, holder: str) -> bool:
        now = self._now()
        return SharedAccessToken.objects.claim(
            self._account.pk, holder, now=now, until=now + self._lease
        )

    def _note_failure(self, holder: str, failures: int, error: APIError) -> None:
        logger.warning("No new access token for %s: %s", self._account.slug, error)
        now = self._now()
        pause = lasting(TOKEN if error.is_temporary else TOKEN_REFUSED, failures + 1)
        SharedAccessToken.objects.write(
            self._account.pk,
            holder,
            failure=error.label,
            failure_code=error.errcode if isinstance(error, Refused) else None,
            failure_message=storable(str(error))[:_MESSAGE_LENGTH],
            failure_rid=error.rid[:64] if isinstance(error, Refused) else "",
            failed_at=now,
            failures=failures + 1,
            next_attempt_at=now + pause,
        )

    def _seconds(self) -> float:
        return self._now().timestamp()


def is_paused(
    row: SharedAccessToken | SharedJsTicket, account: OfficialAccount, now: datetime.datetime
) -> bool:
    """Whether to make no call to WeChat after a failure; a change of the account ends the pause."""
    return (
        row.next_attempt_at is not None
        and row.failed_at is not None
        and now < row.next_attempt_at
        and account.updated_at <= row.failed_at
    )


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

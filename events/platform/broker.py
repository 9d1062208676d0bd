"""Lends access tokens and JS-SDK tickets to other programs of the company.

WeChat gives an account one token. A program that fetches its own may make the site's token invalid,
so all programs take it from here. All processes share the ticket through the database, as they do
the token (events/platform/tokens.py): one process claims the row, reads it again and fetches, the
others use the old ticket meanwhile.
"""

from __future__ import annotations

import datetime
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.utils import timezone

from events.delays import TOKEN, TOKEN_REFUSED, lasting
from events.models import OfficialAccount, SharedJsTicket
from events.platform.client import client_for, wire
from events.platform.tokens import LEASE, AccountSwitchedOff, SharedTokens, is_paused
from events.wechat.api import APIError, Unreachable
from events.wechat.api.js_tickets import signature_of_page

__all__ = ["Lent", "Paused", "UnknownHost", "js_config", "lend_js_ticket", "lend_token"]

# A ticket is replaced this long before its end; for a while both work.
_AHEAD = datetime.timedelta(minutes=5)
# Seconds between two queries of the row while another process fetches.
_LOOK_EVERY = 0.1


class UnknownHost(Exception):
    """The page's host is not among those that the account allows."""


class Paused(APIError):
    """There is no ticket, and the site does not ask WeChat again before `until`."""

    label = "ticket_paused"
    is_temporary = True

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(f"no ticket until {until}")
        self.until = until


@dataclass(frozen=True, slots=True)
class Lent:
    """A token or ticket. After `use_until` the borrower must ask for it again."""

    value: str = field(repr=False)
    use_until: datetime.datetime


def lend_token(account: OfficialAccount) -> Lent:
    """Returns the account's access token. Raises APIError. Call it outside a transaction."""
    token = SharedTokens(account, wire()).get()
    # This site replaces the token before its end. A caller who keeps the old one longer fails.
    until = max(token.refresh_at, timezone.now().timestamp() + 1)
    return Lent(token.value, datetime.datetime.fromtimestamp(until, datetime.UTC))


def lend_js_ticket(account: OfficialAccount) -> Lent:
    """Returns the account's JS-SDK ticket. Raises APIError. Call it outside a transaction."""
    if not account.is_active:
        raise AccountSwitchedOff(account.slug)
    give_up_at = time.monotonic() + LEASE.total_seconds()
    while True:
        now = timezone.now()
        row = SharedJsTicket.objects.of(account.pk)
        lent = _ticket_in(row, account, now)
        if not _is_due(row, account, now):
            if lent is not None:
                return lent
            raise Paused(row.next_attempt_at or now)
        if SharedJsTicket.objects.claim(account.pk, now, now + LEASE):
            # Another process may have fetched, or failed to, before the claim.
            row = SharedJsTicket.objects.of(account.pk)
            if _is_due(row, account, now):
                return _fetch(account, row.failures, lease_until=now + LEASE)
            SharedJsTicket.objects.end_lease(account.pk, now + LEASE)
            continue
        if lent is not None:
            return lent
        if time.monotonic() > give_up_at:
            raise Unreachable("ticket", "another process did not fetch it", may_have_arrived=False)
        time.sleep(_LOOK_EVERY)


def js_config(account: OfficialAccount, url: str) -> dict[str, str | int]:
    """Returns the arguments of `wx.config` for a page. Raises UnknownHost and APIError."""
    page = url.partition("#")[0]
    if not _is_allowed(account, page):
        raise UnknownHost
    ticket = lend_js_ticket(account)
    nonce, timestamp = secrets.token_hex(8), int(time.time())
    return {
        "appId": account.app_id,
        "timestamp": timestamp,
        "nonceStr": nonce,
        "signature": signature_of_page(ticket.value, nonce=nonce, timestamp=timestamp, url=page),
    }


def _is_allowed(account: OfficialAccount, page: str) -> bool:
    try:
        parts = urlsplit(page)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and host in account.js_hosts.lower().split()


def _ticket_in(
    row: SharedJsTicket, account: OfficialAccount, now: datetime.datetime
) -> Lent | None:
    """Returns the row's ticket if it is for this AppID and still works."""
    if not row.ticket or row.app_id != account.app_id or row.expires_at is None:
        return None
    if row.expires_at <= now or row.refreshed_at is None:
        return None
    return Lent(row.ticket, _use_until(row.refreshed_at, row.expires_at))


def _is_due(row: SharedJsTicket, account: OfficialAccount, now: datetime.datetime) -> bool:
    """Whether to ask WeChat for a ticket now."""
    lent = _ticket_in(row, account, now)
    return (lent is None or now >= lent.use_until) and not is_paused(row, account, now)


def _use_until(refreshed_at: datetime.datetime, expires_at: datetime.datetime) -> datetime.datetime:
    """When to replace the ticket: some minutes before its end, but not in its first half."""
    return expires_at - min(_AHEAD, (expires_at - refreshed_at) / 2)


def _fetch(account: OfficialAccount, failures: int, *, lease_until: datetime.datetime) -> Lent:
    rows = SharedJsTicket.objects
    asked_at = timezone.now()
    try:
        ticket = client_for(account).js_tickets.fetch()
    except APIError as error:
        failed_at = timezone.now()
        pause = lasting(TOKEN if error.is_temporary else TOKEN_REFUSED, failures + 1)
        rows.end_lease(
            account.pk,
            lease_until,
            failed_at=failed_at,
            failures=failures + 1,
            next_attempt_at=failed_at + pause,
        )
        lent = _ticket_in(rows.of(account.pk), account, failed_at)
        if lent is None:
            raise
        return lent
    expires_at = asked_at + datetime.timedelta(seconds=ticket.expires_in)
    fresh = Lent(ticket.value, _use_until(asked_at, expires_at))
    is_kept = rows.end_lease(
        account.pk,
        lease_until,
        app_id=account.app_id,
        ticket=ticket.value,
        refreshed_at=asked_at,
        expires_at=expires_at,
        failed_at=None,
        failures=0,
        next_attempt_at=None,
    )
    if is_kept:
        return fresh
    # This lease ran out; the process that took it over has a ticket at least as new.
    return _ticket_in(rows.of(account.pk), account, timezone.now()) or fresh

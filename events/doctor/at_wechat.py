"""Checks WeChat's side: its clock, the token, its way to our callback, rights and quotas."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import ipaddress
import socket
from collections.abc import Iterator

import httpx
from django.conf import settings

from events.doctor.door import CLOCK
from events.doctor.exchange import Line
from events.doctor.findings import Finding
from events.models import OfficialAccount
from events.platform.client import wire
from events.platform.rights import Right, ask_for_rights
from events.wechat.api import (
    AccessToken,
    AddressNotAllowed,
    APIError,
    AppCredentials,
    Client,
    CredentialsRejected,
    NotPermitted,
    TokenRejected,
    fetch_stable_token,
)
from events.wechat.api.diagnostics import CallbackCheck

__all__ = ["look_at_wechat"]

_NONE_LOST = {"", "0", "0%", "0.0%"}


class _OneToken:
    """Holds the token of this visit: the doctor fetches one, and ignores the site's."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    def get(self) -> AccessToken:
        return self._token

    def refresh(self, rejected: AccessToken) -> AccessToken:
        return rejected


def look_at_wechat(
    account: OfficialAccount, line: Line | None, now: datetime.datetime
) -> Iterator[Finding | Right]:
    """Yields faults on the way to WeChat's API, and the account's rights there."""
    if not (account.app_id and account.app_secret):
        yield Finding("no_app_secret")
        return
    yield from _compare_clocks(now)
    try:
        shared = wire()
        token = fetch_stable_token(shared, AppCredentials(account.app_id, account.app_secret))
        client = Client(shared, _OneToken(token))
        with contextlib.suppress(NotPermitted):
            yield from _findings_of_check(client.diagnostics.check_callback(), line)
        rights = ask_for_rights(client)
    except APIError as error:
        yield _finding_of(error)
        return
    yield from rights
    withheld = [right for right in rights if not right.is_granted]
    if withheld:
        yield Finding("uncertified", {"rights": " ".join(right.path for right in withheld)})
    for right in rights:
        if right.is_low:
            numbers = {"remain": right.remain, "limit": right.daily_limit}
            yield Finding("quota_low", {"right": right.path, **numbers})


def _compare_clocks(now: datetime.datetime) -> Iterator[Finding]:
    """Compares this clock with the Date header of WeChat's answer, exact to a second."""
    try:
        with httpx.Client(proxy=settings.WECHAT_API_PROXY or None, timeout=5) as client:
            written = client.head(settings.WECHAT_API_BASE).headers.get("date", "")
        theirs = email.utils.parsedate_to_datetime(written)
    except (httpx.HTTPError, ValueError):
        return  # the next call reports that WeChat is unreachable
    apart = abs((now - theirs).total_seconds())
    if apart > CLOCK:
        yield Finding("clock", {"seconds": round(apart)})


def _findings_of_check(check: CallbackCheck, line: Line | None) -> Iterator[Finding]:
    theirs = {resolution.ip for resolution in check.resolutions}
    if not theirs:
        yield Finding("wechat_resolves_not")
    elif line is not None and line.connect_to is None:
        ours = _public_addresses(line)
        if ours and not ours & theirs:
            found = {"theirs": ", ".join(sorted(theirs)), "ours": ", ".join(sorted(ours))}
            yield Finding("wechat_resolves_otherwise", found)
    for ping in check.pings:
        if ping.package_loss.strip() not in _NONE_LOST:
            yield Finding("wechat_loses_packets", {"address": ping.ip, "loss": ping.package_loss})


def _public_addresses(line: Line) -> set[str]:
    """Returns the addresses of the callback's host; none if one of them is not public."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(line.host, line.port)}
    except OSError:
        return set()
    is_public = all(ipaddress.ip_address(each).is_global for each in found)
    return found if is_public else set()


def _finding_of(error: APIError) -> Finding:
    reason = {"reason": str(error)[:300]}
    if isinstance(error, AddressNotAllowed):
        return Finding("ip_list", {"address": error.address or "?"})
    if isinstance(error, CredentialsRejected):
        return Finding("credentials", reason)
    if isinstance(error, TokenRejected):
        # From the API that issues tokens this error means a wrong AppSecret.
        is_secret = "stable_token" in error.path
        return Finding("credentials" if is_secret else "token_refused", reason)
    if error.is_temporary:
        return Finding("api_unreachable", reason)
    return Finding("api_refused", reason)

"""Fetches profiles of followers, in the worker, in batches of a hundred.

It fetches the profiles of followers who have none, or for whom a refresh was requested. The fold
requests one when somebody follows again, and when an unfollow and a proof of following have the
same second, since only WeChat knows their order. If the profile changes whether the person
follows, that enters the log (subscribers/sync/observations.py); the follower's row gets the rest.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Sequence

from django.db import connection
from django.db.models import F, Q
from django.utils import timezone

from events.db.transactions import short_transaction
from events.db.upsert import Upsert
from events.delays import CALL
from events.jobs.run import claimed, run_job
from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.platform.client import client_for
from events.platform.rights import able_accounts
from events.wechat.api import Client
from events.wechat.api.users import BATCH_SIZE, Profile
from subscribers.models import ProfileFetch, Subscriber
from subscribers.models.clock import CHANGED, NOW
from subscribers.sync.observations import (
    MISSED_FOLLOW,
    MISSED_UNFOLLOW,
    Erased,
    observation,
    refuse_if_erased,
    scene_of,
    second,
)

__all__ = ["LEASE", "fetch_profiles", "write_profiles"]

# Long enough for a hundred profiles if WeChat refuses each of them.
LEASE = datetime.timedelta(minutes=5)
# Seconds after which another account gets a turn.
_SLICE = 8
# Seconds to wait for a lock, since callbacks may hold it.
_LOCK_TIMEOUT = 10


def fetch_profiles(*, lease: datetime.timedelta = LEASE) -> int:
    """Fetches the profiles that are missing or out of date; returns how many WeChat was asked for.

    Call it outside a transaction. Failures are noted on the account's `ProfileFetch`.
    """
    now = timezone.now()
    ProfileFetch.objects.reopen_changed(now)
    served = 0

    def fetch(job: ProfileFetch) -> None:
        nonlocal served
        client = client_for(job.account)
        deadline = time.monotonic() + _SLICE
        while time.monotonic() < deadline and (asked := fetch_batch(job.account, client)):
            served += asked
        ProfileFetch.objects.release(job, timezone.now())

    for account in able_accounts():
        if not _wanted(account, second(now), limit=1):
            continue
        ProfileFetch.objects.of(account)
        rows = ProfileFetch.objects.filter(account=account)
        for job in claimed(rows, lease=lease, seconds=0):
            # Faults of our own are retried too, because no operator looks after profiles.
            run_job(rows, job, fetch, fault_delays=CALL)
    return served


def fetch_batch(
    account: OfficialAccount,
    client: Client,
    *,
    now: Callable[[], datetime.datetime] = timezone.now,
) -> int:
    """Asks for up to a hundred profiles and stores the answers; returns how many it asked for.

    Raises `APIError`, DatabaseError.
    """
    asked_at = second(now())
    people = _wanted(account, asked_at, limit=BATCH_SIZE)
    if not people:
        return 0
    answer = client.users.infos([person.openid for person in people])
    by_openid = {profile.openid: profile for profile in answer.found}
    said = [
        row
        for person in people
        if person.openid in by_openid
        and (row := _news(account, person, by_openid[person.openid], asked_at, now()))
    ]
    if said:
        told = {row.openid for row in said}
        ids = [person.pk for person in people if person.openid in told]
        try:
            deliver(said, lock_timeout=_LOCK_TIMEOUT, then=lambda _are_new: refuse_if_erased(ids))
        except Erased:
            # The next batch asks for the others anew.
            return len(people)
    _keep(people, by_openid, now())
    return len(people)


def write_profiles(
    account: OfficialAccount, profiles: Sequence[Profile], now: datetime.datetime
) -> None:
    """Writes the profiles of followers who have a row, in the caller's transaction."""
    if profiles:
        rows = [
            (
                account.pk,
                profile.openid,
                profile.unionid[:64],
                profile.language[:16],
                profile.remark[:100],
                profile.subscribe_scene[:64],
                scene_of(profile),
                ",".join(map(str, profile.tag_ids))[:255],
                now,
            )
            for profile in sorted(profiles, key=lambda profile: profile.openid)
        ]
        _statement().execute(connection, rows)


@functools.cache
def _statement() -> Upsert:
    # WeChat gives these two only to some accounts, so an empty answer keeps the known value.
    kept = {
        name: f"CASE WHEN excluded.{name} = '' THEN old.{name} ELSE excluded.{name} END"
        for name in ("unionid", "language")
    }
    plain = ("remark", "subscribe_scene", "qr_scene", "tag_ids", "profile_synced_at")
    return Upsert(
        Subscriber,
        key=("account_id", "openid"),
        values=("unionid", "language", *plain),
        computed={"updated_at": NOW},
        update=kept | {name: f"excluded.{name}" for name in plain} | {"updated_at": CHANGED},
    )


def _wanted(account: OfficialAccount, at: datetime.datetime, *, limit: int) -> list[Subscriber]:
    """The followers to ask about in that second; requested refreshes come first."""
    mine = Subscriber.objects.filter(account=account, erased_at=None)
    # An answer in the second of an unfollow would decide nothing.
    askable = Q(last_unfollowed_at=None) | Q(last_unfollowed_at__lt=at)
    again = mine.filter(askable, refresh_requested_at__isnull=False)
    people = list(again.order_by("refresh_requested_at")[:limit])
    if len(people) < limit:
        new = mine.filter(
            profile_synced_at=None, is_following=True, refresh_requested_at=None
        ).order_by("id")
        people += new[: limit - len(people)]
    return people


def _news(
    account: OfficialAccount,
    person: Subscriber,
    profile: Profile,
    asked_at: datetime.datetime,
    now: datetime.datetime,
) -> EventLog | None:
    """The row for the log, if WeChat's answer differs from our state or decides it."""
    if profile.is_following and not person.is_following:
        return observation(account, MISSED_FOLLOW, profile, at=asked_at, now=now)
    if not profile.is_following and (person.is_following or person.is_unknowable):
        return observation(account, MISSED_UNFOLLOW, profile, at=asked_at, now=now)
    return None


def _keep(
    people: Sequence[Subscriber], by_openid: dict[str, Profile], now: datetime.datetime
) -> None:
    account = people[0].account
    ids = [person.pk for person in people]
    with short_transaction(_LOCK_TIMEOUT):
        locked = list(
            Subscriber.objects.select_for_update(of=("self",)).filter(pk__in=ids).in_order()
        )
        here = {person.openid: person for person in locked}
        write_profiles(
            account,
            [
                profile
                for openid, profile in by_openid.items()
                if profile.is_following and openid in here
            ],
            now,
        )
        asked = Subscriber.objects.filter(pk__in=[person.pk for person in locked])
        asked.update(profile_synced_at=now)
        # While we asked, a follow and an unfollow may have got the same second: then the request
        # stays. It ends for an OpenID that WeChat does not know, since no better answer will come.
        decided = (
            Q(is_following=True)
            | Q(last_unfollowed_at=None)
            | (Q(last_followed_at=None) | ~Q(last_followed_at=F("last_unfollowed_at")))
            & (Q(last_seen_at=None) | ~Q(last_seen_at=F("last_unfollowed_at")))
        )
        asked.filter(decided | ~Q(openid__in=list(by_openid))).update(refresh_requested_at=None)

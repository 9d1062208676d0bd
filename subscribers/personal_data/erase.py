"""Erases one person (删除个人信息), and keeps every count and the fold as they were.

A pseudonym replaces the OpenID in the log and in each table that names it. The profile, the texts,
bodies, messages, positions, tags and the link to a site user are removed. Archives in
EVENT_ARCHIVE_DIR are written anew; copies that are kept elsewhere are changed when somebody
restores them. What arrives later from the same person belongs to a new follower.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events.audit.record import record
from events.log.retention_hooks import announce_erasure, before_restoring
from events.models import EventLog, remove_with_files
from events.retention.archive import Archive
from events.retention.erase import (
    may_mention,
    overwrite_deleted,
    people_mentioned,
    pseudonymise_log,
)
from events.retention.partitions import alone
from events.retention.rewrite import rewrite_archives
from events.stats.counting.roll_up import held_progress
from subscribers.models import (
    Binding,
    BindingRequest,
    BindingScan,
    CarriedOverState,
    Erasure,
    FollowerEdit,
    FollowerExport,
    FollowerSync,
    OutgoingMessage,
    PseudonymKey,
    SignInRequest,
    Subscriber,
)
from subscribers.models.clock import CHANGED_NOW
from subscribers.models.erasure import digest_of
from subscribers.personal_data.applications import forget_tokens

__all__ = ["ArchivesBusy", "erase", "receipt", "rename_returning"]

# The columns that have what WeChat said of the person, and what operators noted, emptied.
_NO_PROFILE = {
    "unionid": "",
    "language": "",
    "remark": "",
    "tag_ids": "",
    "refresh_requested_at": None,
    "listed_in": None,
}


class ArchivesBusy(Exception):
    """Another process removes or archives months now; the worker tries the erasure again."""


def erase(erasure: Erasure, *, now: datetime.datetime | None = None) -> Erasure:
    """Carries out an open erasure and returns it with its receipt.

    Raises ArchivesBusy, and ArchiveError for an archive that is broken. The erasure then stays
    open, and its next run begins from the start. Call it outside a transaction.
    """
    now = now or timezone.now()
    overwrite_deleted()
    with alone("retention") as granted:
        if not granted:
            raise ArchivesBusy("Months are being archived or removed at this moment.")
        archived = _erase_from_archives(erasure, now)
        with transaction.atomic():
            current = Erasure.objects.select_for_update(of=("self",)).get(pk=erasure.pk)
            if current.erased_at is not None:
                return current  # another process was quicker
            counts = _erase_from_database(erasure, now)
            counts["archived events"] = archived
            erasure.counts = {name: number for name, number in sorted(counts.items()) if number}
            erasure.openid = ""
            erasure.erased_at = now
            erasure.due_at = None
            erasure.lease = ""
            erasure.leased_until = None
            erasure.failure = erasure.failure_text = ""
            erasure.failed_at = None
            erasure.digest = hashlib.sha256(_text(receipt(erasure)).encode()).hexdigest()
            erasure.save()
            record(
                "erase",
                erasure,
                name=erasure.pseudonym,
                details={"reason": erasure.reason, "rows": erasure.counts},
            )
    return erasure


def receipt(erasure: Erasure) -> dict[str, Any]:
    """The contents of the receipt; Erasure.digest is the SHA-256 of their canonical JSON."""
    return {
        "account": erasure.account.slug,
        "pseudonym": erasure.pseudonym,
        "reason": erasure.reason,
        "requested_at": erasure.requested_at.astimezone(datetime.UTC).isoformat(),
        "requested_by": erasure.requested_by.get_username() if erasure.requested_by else None,
        "erased_at": erasure.erased_at.astimezone(datetime.UTC).isoformat()
        if erasure.erased_at
        else None,
        "changed_rows": erasure.counts,
    }


def _text(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _erase_from_database(erasure: Erasure, now: datetime.datetime) -> Counter[str]:
    account_id, openid, pseudonym = erasure.account_id, erasure.openid, erasure.pseudonym
    # Locks in the order of all other code: the statistics first, then events, then the follower.
    # A rebuild of followers' state locks the carried-over states before the followers.
    held_progress()
    carried_over = CarriedOverState.objects.filter(account=account_id, openid=openid).update(
        openid=pseudonym
    )
    counts = pseudonymise_log(account_id, openid, pseudonym, now=now)
    subscriber = Subscriber.objects.held().filter(account=account_id, openid=openid).first()
    if subscriber is not None:
        # A callback may have stored an event before the follower's row was locked. If there is no
        # such row, an event that comes now makes one, and both belong to a new follower.
        counts += pseudonymise_log(account_id, openid, pseudonym, now=now)
        counts += _erase_follower(subscriber, pseudonym, now)
    counts["carried-over states"] = carried_over
    # A sync that had stopped at this person reads WeChat's list from its beginning again.
    stopped = FollowerSync.objects.filter(account=account_id)
    stopped.filter(Q(next_openid=openid) | Q(taken_to=openid)).update(next_openid="", taken_to="")
    announce_erasure(account_id, openid, pseudonym)
    # Any export may name the person. A worker that writes one now loses its lease, and begins anew;
    # one that waits is locked, so that no worker begins it before this transaction ends.
    exports = FollowerExport.objects.filter(Q(account=account_id) | Q(account=None))
    exports.waiting().update(lease="", leased_until=None)
    counts["exports"] = remove_with_files(exports.with_file())
    counts["operators' log"] = LogEntry.objects.filter(object_repr__contains=openid).update(
        object_repr=pseudonym, change_message=""
    )
    return counts


def _erase_follower(subscriber: Subscriber, pseudonym: str, now: datetime.datetime) -> Counter[str]:
    followers = Subscriber.objects.filter(pk=subscriber.pk).update(
        openid=pseudonym,
        erased_at=now,
        profile_synced_at=now,
        updated_at=CHANGED_NOW,
        **_NO_PROFILE,
    )
    bindings = Binding.objects.filter(subscriber=subscriber)
    bindings.active().update(unbound_at=now)
    scans = BindingScan.objects.filter(subscriber=subscriber)
    messages = OutgoingMessage.objects.filter(subscriber=subscriber)
    edits = FollowerEdit.objects.filter(subscriber=subscriber)
    # Messages that wait are not sent any more.
    messages.filter(state__in=[OutgoingMessage.State.QUEUED, OutgoingMessage.State.SENDING]).update(
        state=OutgoingMessage.State.FAILED,
        failure="erased",
        failed_at=now,
        due_at=None,
        lease="",
        leased_until=None,
    )
    return Counter(
        {
            "followers": followers,
            "binding requests": BindingRequest.objects.filter(
                binding__in=bindings.values("pk")
            ).update(binding=None),
            "questions": BindingRequest.objects.filter(asked=subscriber).update(asked=None),
            "tokens of applications": forget_tokens(bindings),
            "bindings": bindings.update(user=None),
            "binding scans": scans.update(request=None, sign_in=None),
            "sign-ins": SignInRequest.objects.filter(asked=subscriber).delete()[0],
            "remarks to write": edits.delete()[0],
            "messages": messages.update(payload={}, failure_text=""),
        }
    )


# --- Archives ------------------------------------------------------------------------------------


def _erase_from_archives(erasure: Erasure, now: datetime.datetime) -> int:
    folder = settings.EVENT_ARCHIVE_DIR
    if not folder or not Path(folder).is_dir():
        return 0
    openid, slug = erasure.openid, erasure.account.slug
    time = now.astimezone(datetime.UTC).isoformat(timespec="microseconds")

    def change(archive: Archive, record: dict[str, Any]) -> dict[str, Any] | None:
        if archive.accounts.get(record["account_id"]) != slug:
            return None
        no_body = {"raw": "", "reply": "", "error": "", "body_removed_at": time}
        if record["openid"] != openid:
            mentions = may_mention(record["kind"], record["status"])
            named = mentions and openid.encode() in base64.b64decode(record["raw"])
            return record | no_body if named else None
        return (
            record
            | no_body
            | {
                "openid": erasure.pseudonym,
                "from_user": _renamed(record["from_user"], openid, erasure.pseudonym),
            }
        )

    return rewrite_archives(Path(folder), change)


def _renamed(value: str, openid: str, pseudonym: str) -> str:
    return pseudonym if value == openid else value


@before_restoring
def rename_returning(events: list[EventLog]) -> None:
    """Pseudonymises restored rows that are older than an erasure, and empties their bodies."""
    if not Erasure.objects.done().exists():
        return
    key = PseudonymKey.value()
    named = {id(event): _people_in(event) for event in events}
    digests = {
        digest_of(event.account_id, openid, key=key): openid
        for event in events
        for openid in named[id(event)]
    }
    erased: dict[tuple[int, str], list[Erasure]] = {}
    for erasure in Erasure.objects.done().filter(openid_digest__in=digests).order_by("erased_at"):
        openid = digests[erasure.openid_digest]
        erased.setdefault((erasure.account_id, openid), []).append(erasure)
    for event in events:
        for openid in named[id(event)]:
            for erasure in erased.get((event.account_id, openid), ()):
                if erasure.erased_at is None or event.received_at > erasure.erased_at:
                    continue
                if event.openid == openid:
                    event.from_user = _renamed(event.from_user, openid, erasure.pseudonym)
                    event.openid = erasure.pseudonym
                event.raw = b""
                event.reply = event.error = ""
                event.body_removed_at = erasure.erased_at
                break


def _people_in(event: EventLog) -> set[str]:
    """The people whom a row names: in its column and, for some kinds, in its body."""
    mentioned = may_mention(event.kind, event.status)
    names = people_mentioned(bytes(event.raw)) if mentioned else set()
    return (names | {event.openid}) - {""}

"""Runs all checks of the doctor for an account, and stores the findings."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from events.doctor.account_settings import look_at_pushes, look_at_settings
from events.doctor.at_wechat import look_at_wechat
from events.doctor.door import try_the_door
from events.doctor.exchange import Line
from events.doctor.findings import FAULTS, Finding, Severity
from events.limits import Limits
from events.models import LastExamination, OfficialAccount, TaskRun, private_files
from events.platform.rights import Right, keep_rights

__all__ = [
    "Examination", "Visit", "disks_short_of_space", "examine", "keep", "last_examination",
]  # fmt: skip

_GIGABYTE = 1024**3


@dataclass(frozen=True, slots=True)
class Examination:
    """The findings of a visit, the gravest first, and the account's rights at WeChat."""

    account: OfficialAccount
    at: datetime.datetime
    findings: list[Finding] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether pushes and calls work; notes do not count."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Visit:
    """How to examine: `line` is the public address, None if unknown; `now` is a clock."""

    line: Line | None
    now: Callable[[], datetime.datetime] = timezone.now


def examine(account: OfficialAccount, visit: Visit) -> Examination:
    """Runs all checks; takes up to half a minute if a server does not answer.

    Call it outside a transaction, because it waits for the network.
    """
    now = visit.now()
    examination = Examination(account, now)
    for found in _look(account, visit, now):
        if isinstance(found, Right):
            examination.rights.append(found)
        else:
            examination.findings.append(found)
    order = list(Severity)
    examination.findings.sort(key=lambda finding: order.index(finding.severity))
    return examination


def _look(
    account: OfficialAccount, visit: Visit, now: datetime.datetime
) -> Iterator[Finding | Right]:
    settings_found = list(look_at_settings(account, now))
    yield from settings_found
    yield from _look_at_site(now)
    # Check this before the doctor's own push, which may be refused too.
    yield from look_at_pushes(account, now)
    # With one of these faults the site refuses every push, so the doctor's push is useless.
    can_be_pushed = {"inactive", "no_token", "aes_key_invalid", "ids_exchanged"}.isdisjoint(
        finding.code for finding in settings_found
    )
    if visit.line is None:
        yield Finding("no_public_url")
    # These read the clock anew: they compare it with others, and each may wait for seconds.
    elif can_be_pushed:
        yield from try_the_door(account, visit.line, visit.now)
    yield from look_at_wechat(account, visit.line, visit.now())


def _look_at_site(now: datetime.datetime) -> Iterable[Finding]:
    try:
        with transaction.atomic():
            TaskRun.objects.bulk_create([TaskRun(name="doctor")], ignore_conflicts=True)
            transaction.set_rollback(True)
    except DatabaseError as error:
        yield Finding("database", {"reason": str(error)[:300]})
    if TaskRun.objects.is_silent(now):
        yield Finding("no_worker")
    for folder, percent in disks_short_of_space():
        yield Finding("disk", {"folder": str(folder), "percent": percent})


def disks_short_of_space() -> list[tuple[Path, int]]:
    """Returns the site's folders whose disks are nearly full, with the free percentage."""
    private = Path(private_files().path("."))
    folders = [settings.VAR_DIR, settings.EVENT_ARCHIVE_DIR, private]
    if connection.vendor == "sqlite":
        folders.append(Path(str(connection.settings_dict["NAME"])).parent)
    limits = Limits()
    percent, gigabytes = limits.of("disk_percent"), limits.of("disk_gigabytes")
    short: dict[int, tuple[Path, int]] = {}
    for folder in folders:
        if folder is None or not folder.is_dir():
            continue
        usage = shutil.disk_usage(folder)
        if usage.free < min(usage.total * percent / 100, gigabytes * _GIGABYTE):
            short.setdefault(folder.stat().st_dev, (folder, int(usage.free * 100 / usage.total)))
    return list(short.values())


def keep(examination: Examination) -> None:
    """Stores the findings for the account's page."""
    LastExamination.objects.update_or_create(
        account=examination.account,
        defaults={
            "at": examination.at,
            "findings": [
                {"code": finding.code, "details": dict(finding.details)}
                for finding in examination.findings
            ],
        },
    )
    if examination.rights:
        keep_rights(examination.account, examination.rights)


def last_examination(account: OfficialAccount) -> Examination | None:
    """Returns the last findings; None before the first visit."""
    row = LastExamination.objects.filter(account=account).first()
    if row is None:
        return None
    # Leave out findings that this version of the site does not know.
    findings = [Finding(**found) for found in row.findings if found["code"] in FAULTS]
    return Examination(account, row.at, findings)

"""The command `sync_followers`: compares followers with WeChat's list, here and now."""

from __future__ import annotations

import datetime
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.models import OfficialAccount
from events.platform.rights import able_accounts
from subscribers.models import FollowerSync
from subscribers.sync.compare import LEASE, carry_on

# All times are seconds. If a run must wait longer than this, the command leaves it to the worker.
_LONGEST_WAIT = 15 * 60
_TELL_EVERY = 2
# The command polls, because another process may release a run before its lease ends.
_POLL_EVERY = 5


class Command(BaseCommand):
    help = (
        "Compares followers with WeChat's list, here and now, for these accounts or all that have "
        "an AppSecret: imports unknown followers, and enters missed follows and unfollows in the "
        "log. --resume carries on a run that was killed. Exits with 1 if a run did not finish."
    )

    _told = ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="handles of accounts")
        parser.add_argument(
            "--resume",
            action="store_true",
            help="continue an unfinished run where it stopped, instead of starting a new one",
        )
        parser.add_argument(
            "--now",
            action="store_true",
            help="start at once, even during a pause or if another process may still work on it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        failed = [
            account.slug
            for account in _accounts(options["accounts"])
            if not self._sync(account, resume=options["resume"], at_once=options["now"])
        ]
        if failed:
            raise CommandError(f"Not finished: {', '.join(failed)}")

    def _sync(self, account: OfficialAccount, *, resume: bool, at_once: bool) -> bool:
        """Runs a sync of the account; returns whether it finished."""
        unfinished = FollowerSync.objects.open().filter(account=account)
        if at_once:
            unfinished.update(due_at=timezone.now(), lease="", leased_until=None)
        elif resume:
            unfinished.try_again(timezone.now())
        sync = unfinished.first() if resume else None
        if sync is None:
            sync, is_new = FollowerSync.objects.begin(
                account, origin=FollowerSync.Origin.COMMAND, now=timezone.now(), anew=True
            )
            if not is_new:
                self.stderr.write(
                    f"{account.slug}: another process works on it. --resume waits for it, and "
                    "--resume --now takes over."
                )
                return False
        while (wait := self._carry_on(sync)) is not None:
            if wait > _LONGEST_WAIT:
                self.stderr.write(f"{account.slug}: left to the worker")
                return False
            time.sleep(min(wait, _POLL_EVERY))
        self._tell_end(account, sync)
        return sync.state == FollowerSync.State.FINISHED

    def _carry_on(self, sync: FollowerSync) -> float | None:
        """Works on the run; returns the seconds to wait before it can go on, None at its end."""
        now = timezone.now()
        mine = FollowerSync.objects.filter(pk=sync.pk)
        for claimed in mine.claim(now, limit=1, lease=LEASE):
            progress = _Progress(self)
            try:
                carry_on(claimed, tell=progress.tell)
            except BaseException:
                # Release after Ctrl-C too, so that the next process need not wait for the lease.
                FollowerSync.objects.release(claimed, timezone.now())
                raise
        sync.refresh_from_db()
        if not sync.is_open or sync.due_at is None:
            return None
        again_at = max(sync.due_at, sync.leased_until or sync.due_at)
        wait = max(0.0, (again_at - timezone.now()).total_seconds())
        if wait:
            self._tell_once(sync, f"{sync.reason} Waits until {_clock(again_at, sync)}".lstrip())
        return wait

    def _tell_once(self, sync: FollowerSync, line: str) -> None:
        if line != self._told:
            self.stderr.write(f"{sync.account.slug}: {line}")
            self._told = line

    def _tell_end(self, account: OfficialAccount, sync: FollowerSync) -> None:
        if sync.state != FollowerSync.State.FINISHED:
            self.stderr.write(f"{account.slug}: {sync.reason or sync.get_state_display()}")
            return
        self.stdout.write(
            f"{account.slug}: {sync.seen} seen, {sync.new} new, {sync.missed_follows} missed "
            f"follows, {sync.missed_unfollows} missed unfollows, {sync.unchanged} unchanged, "
            f"{sync.left} left meanwhile, {sync.unknown} unknown to WeChat"
        )


class _Progress:
    """Prints the progress of a run every few seconds."""

    def __init__(self, command: BaseCommand) -> None:
        self._command = command
        self._next = time.monotonic() + _TELL_EVERY

    def tell(self, sync: FollowerSync) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _TELL_EVERY
        if sync.state == FollowerSync.State.LISTING:
            of = "" if sync.total is None else f" of {sync.total}"
            line = f"{sync.seen}{of} seen, {sync.new} new"
        else:
            line = f"asking for who was not on the list, {sync.missed_unfollows} missed unfollows"
        self._command.stdout.write(f"{sync.account.slug}: {line}")
        self._command.stdout.flush()


def _accounts(slugs: list[str]) -> list[OfficialAccount]:
    able = {account.slug: account for account in able_accounts()}
    for slug in slugs:
        if slug not in able:
            raise CommandError(
                f"{slug!r} is not the handle of an active account with an AppID and an AppSecret."
            )
    return [able[slug] for slug in slugs] if slugs else list(able.values())


def _clock(moment: datetime.datetime, sync: FollowerSync) -> str:
    return f"{moment.astimezone(sync.account.zone):%Y-%m-%d %H:%M:%S}"

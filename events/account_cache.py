"""Keeps accounts and reply rules in memory: every push needs them, and they rarely change.

A process sees its own changes at once, and those of other processes within a second. It compares
the stored rows of accounts, and the number of the live version of rules. It decrypts secrets and
compiles rules only after a change.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, models

from events.models import OfficialAccount, RuleVersion
from events.rules.decide import RuleSet

__all__ = ["Known", "account_with_key", "forget", "known_account", "live_rules", "refresh"]

logger = logging.getLogger(__name__)

# Seconds after which the cache is compared with the database.
_MAX_AGE = 0.5
# The same for an unknown callback key: short, so that a new account works at once, but not 0, so
# that a stranger who tries keys does not cause a query with each.
_MAX_AGE_OF_A_MISS = 0.05


@dataclass(frozen=True, slots=True)
class _Snapshot:
    read_at: float
    rows: tuple[list[tuple[Any, ...]], ...]
    # The value is an exception if that account cannot be read; the other accounts go on working.
    accounts: dict[str, OfficialAccount | Exception]
    # The rules of each account, with the id of their version.
    rules: dict[int, tuple[int, RuleSet]]


_lock = threading.Lock()
_cached: _Snapshot | None = None


def account_with_key(callback_key: str) -> OfficialAccount | None:
    """Returns the active account with this callback key. All threads share it, so only read it;
    only a push that tells the original ID sets it.

    Raises WrongEncryptionKey if its secrets cannot be decrypted, DatabaseError if the cache is
    empty and the database is away.
    """
    account = _snapshot(_MAX_AGE).accounts.get(callback_key)
    if account is None:
        account = _snapshot(_MAX_AGE_OF_A_MISS).accounts.get(callback_key)
    if isinstance(account, Exception):
        raise account
    return account


@dataclass(frozen=True, slots=True)
class Known:
    """The cached account of a callback key, for an event loop, which must not wait for a database.

    If `is_old`, the caller should call refresh() soon. If not `is_usable`, the caller must call it
    before it goes on.
    """

    found: OfficialAccount | Exception | None
    is_old: bool
    is_usable: bool

    def account(self) -> OfficialAccount | None:
        """Returns the account, or raises the error of reading it, as account_with_key() does."""
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def known_account(callback_key: str) -> Known:
    """Returns the cached account with this callback key, without a query."""
    snapshot = _cached
    if snapshot is None:
        return Known(None, is_old=True, is_usable=False)
    found = snapshot.accounts.get(callback_key)
    age = time.monotonic() - snapshot.read_at
    max_age = _MAX_AGE_OF_A_MISS if found is None else _MAX_AGE
    return Known(found, is_old=age >= max_age, is_usable=age <= 2 * max_age)


def refresh() -> None:
    """Compares the cache with the database; raises DatabaseError."""
    _snapshot(0)


def live_rules(account_id: int) -> RuleSet | None:
    """Returns the account's published rules; None if none were ever published."""
    found = _snapshot(_MAX_AGE).rules.get(account_id)
    return found[1] if found else None


def forget(**_signal: Any) -> None:
    """Empties the cache."""
    global _cached
    _cached = None


def _snapshot(max_age: float) -> _Snapshot:
    global _cached
    snapshot = _cached
    if snapshot is not None and time.monotonic() - snapshot.read_at < max_age:
        return snapshot
    with _lock:
        former = _cached
        if former is None or time.monotonic() - former.read_at >= max_age:
            _cached = former = _read(former)
        return former


def _read(former: _Snapshot | None) -> _Snapshot:
    read_at = time.monotonic()
    live: list[tuple[Any, ...]] = list(
        RuleVersion.objects.filter(is_live=True).values_list("account_id", "pk").order_by("pk")
    )
    rows = (_stored(OfficialAccount), live)
    if former is not None and former.rows == rows:
        return replace(former, read_at=read_at)
    active = OfficialAccount.objects.filter(is_active=True)
    accounts: dict[str, OfficialAccount | Exception] = {}
    for pk, callback_key in active.values_list("pk", "callback_key"):
        try:
            accounts[callback_key] = OfficialAccount.objects.get(pk=pk)
        except OfficialAccount.DoesNotExist:
            continue  # deleted a moment ago
        except Exception as error:
            logger.exception("Account %s cannot be read", pk)
            accounts[callback_key] = error
    known = former.rules if former is not None else {}
    rules = {
        account_id: known[account_id] if known.get(account_id, (0,))[0] == pk else _compiled(pk)
        for account_id, pk in live
    }
    return _Snapshot(read_at, rows, accounts, rules)


def _compiled(version_id: int) -> tuple[int, RuleSet]:
    version = RuleVersion.objects.filter(pk=version_id).first()
    try:
        # Another process may have removed it a moment ago.
        return version_id, RuleSet(version.content if version else ())
    except Exception:
        logger.exception("The reply rules of version %s cannot be read", version_id)
        return version_id, RuleSet(())


def _stored(model: type[models.Model]) -> list[tuple[Any, ...]]:
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")
        return list(cursor.fetchall())

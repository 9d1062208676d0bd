"""Publishes, takes back, discards and compares the draft of an account's rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from events.models import OfficialAccount, ReplyRule, RuleVersion
from events.rules.check import problems
from events.rules.data import Rule

__all__ = [
    "NotPossible",
    "add_to_draft",
    "discard",
    "draft_of",
    "live_version",
    "publish",
    "put_in_order",
    "seen_with",
    "take_back",
]


class NotPossible(Exception):
    """An operator's request is not possible now; the text says why."""


def draft_of(account_id: int) -> list[Rule]:
    """Returns the draft's rules in their order."""
    return [row.rule for row in _rows(account_id)]


def live_version(account_id: int) -> RuleVersion | None:
    """Returns the version that answers followers now; None if none was ever published."""
    return RuleVersion.objects.filter(account=account_id, is_live=True).first()


def seen_with(account_id: int) -> str:
    """Returns a digest of draft and live version, so that nobody publishes a draft unseen."""
    live = live_version(account_id)
    said = [live.pk if live else 0, [rule.to_json() for rule in draft_of(account_id)]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def publish(account_id: int, *, user: Any, note: str = "", seen: str = "") -> RuleVersion:
    """Makes the draft answer followers; all processes use it within a second.

    Raises NotPossible if a rule has a mistake, if nothing is new, or if the draft has changed since
    the user saw it (`seen`).
    """
    with transaction.atomic():
        _hold(account_id)
        if seen and seen != seen_with(account_id):
            raise NotPossible(
                _("Something has changed meanwhile. Look at it once more, then publish.")
            )
        rules = draft_of(account_id)
        for rule in rules:
            if rule.is_on and problems(rule):
                raise NotPossible(_("The rule “%s” has a mistake. Correct it first.") % rule.name)
        live = live_version(account_id)
        content = [rule.to_json() for rule in rules]
        if live is not None and live.rules == content:
            raise NotPossible(_("There is nothing new to publish."))
        RuleVersion.objects.filter(account=account_id, is_live=True).update(is_live=False)
        return RuleVersion.objects.create(
            account_id=account_id, rules=content, note=note, published_by=user
        )


def take_back(version: RuleVersion, *, user: Any) -> RuleVersion:
    """Publishes an earlier version again, also as the draft. Raises NotPossible."""
    with transaction.atomic():
        _hold(version.account_id)
        _write(version.account_id, version.content)
        return publish(version.account_id, user=user, note=_("Version %s again") % version)


def discard(account_id: int) -> None:
    """Replaces the draft by the live version."""
    with transaction.atomic():
        _hold(account_id)
        live = live_version(account_id)
        _write(account_id, live.content if live else ())


def put_in_order(account_id: int, ids: Sequence[int]) -> None:
    """Gives the draft's rules this order; rules not in `ids` follow in their former order."""
    with transaction.atomic():
        _hold(account_id)
        rows = list(_rows(account_id))
        places = {pk: place for place, pk in enumerate(ids)}
        rows.sort(key=lambda row: places.get(row.pk, len(places)))
        for position, row in enumerate(rows, start=1):
            if row.position != position:
                row.position = position
                # Save only this column, because a form saves a rule without the lock.
                row.save(update_fields=["position"])


def add_to_draft(account_id: int, rule: Rule, *, before: Rule | None = None) -> ReplyRule:
    """Adds a rule to the draft, at the end or before another rule of it."""
    with transaction.atomic():
        _hold(account_id)
        rows = list(_rows(account_id))
        row = ReplyRule(account_id=account_id, position=rows[-1].position + 1 if rows else 1)
        row.take(rule)
        row.save()
        if before is not None:
            ids = [row.pk for row in rows]
            ids.insert(ids.index(before.id), row.pk)
            put_in_order(account_id, ids)
            row.refresh_from_db()
    return row


def _write(account_id: int, rules: Sequence[Rule]) -> None:
    rows = {row.pk: row for row in _rows(account_id)}
    for position, rule in enumerate(rules, start=1):
        row = rows.pop(rule.id, None)
        is_new = row is None
        row = row or ReplyRule(pk=rule.id, account_id=account_id)
        if not is_new and row.position == position and row.rule == rule:
            continue
        row.position = position
        row.take(rule)
        row.save(force_insert=is_new)
    for row in rows.values():
        row.delete()


def _rows(account_id: int) -> Any:
    return ReplyRule.objects.filter(account=account_id).order_by("position", "pk")


def _hold(account_id: int) -> None:
    """Locks the account against other changes of its rules, but not against its events."""
    OfficialAccount.objects.select_for_update(no_key=True).only("pk").get(pk=account_id)

"""Writes tags and remarks to WeChat, for jobs that are due, and then to the followers' rows.

Each change also requests the follower's profile from WeChat, which then overwrites the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.jobs.run import serve
from events.models import OfficialAccount
from events.models.job import LeaseLost
from events.platform.client import client_for
from events.platform.failures import EXPLANATIONS
from events.wechat.api import RecipientRejected, Refused
from events.wechat.api.tags import TAGGED_AT_ONCE, Tags
from subscribers.models import FollowerEdit, FollowerTag, Subscriber
from subscribers.models.clock import CHANGED_NOW
from subscribers.tagging.tag_names import keep_tags, numbers_of

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "change_remark", "change_tag", "write_edits"]

FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    "recipient": _("WeChat does not know this follower, or the follower has left."),
    "request": _(
        "WeChat does not accept this tag or remark: an account has up to 100 tags of up to 30 "
        "characters, a follower up to 20."
    ),
}
_NAME_TAKEN = 45157


def change_tag(
    account: OfficialAccount, act: str, name: str, people: Iterable[int], *, by: Any = None
) -> int:
    """Asks the worker to put a tag on followers, or to take it off; returns how many followers.

    `people` are the followers' ids. If WeChat has no such tag, putting it on makes it there.
    """
    chosen = sorted(people)
    FollowerEdit.objects.bulk_create(
        FollowerEdit(
            account=account,
            act=act,
            tag_name=name,
            people=chosen[start : start + TAGGED_AT_ONCE],
            created_by=by,
        )
        for start in range(0, len(chosen), TAGGED_AT_ONCE)
    )
    return len(chosen)


def change_remark(subscriber: Subscriber, remark: str, *, by: Any = None) -> None:
    """Asks the worker to write a remark about a follower; replaces an earlier one that waits."""
    FollowerEdit.objects.filter(subscriber=subscriber, due_at__isnull=False, lease="").delete()
    FollowerEdit.objects.create(
        account=subscriber.account,
        act=FollowerEdit.Act.REMARK,
        subscriber=subscriber,
        people=[subscriber.pk],
        remark=remark,
        created_by=by,
    )


def write_edits() -> int:
    """Writes due changes to WeChat; returns how many jobs (`serve`)."""
    return serve(FollowerEdit.objects.all(), _write)


def _write(edit: FollowerEdit) -> None:
    people = list(Subscriber.objects.filter(pk__in=edit.people, erased_at=None))
    if not people:
        written: list[str] = []
        number = 0
    elif edit.act == FollowerEdit.Act.REMARK:
        client_for(edit.account).users.remark(people[0].openid, edit.remark)
        written, number = [people[0].openid], 0
    else:
        tags = client_for(edit.account).tags
        number = _number(edit, tags)
        is_added = edit.act == FollowerEdit.Act.TAG
        change = tags.add if is_added else tags.remove
        written = _each(change, number, [person.openid for person in people]) if number else []
        if number and not written:
            call = "batchtagging" if is_added else "batchuntagging"
            raise RecipientRejected(f"/cgi-bin/tags/members/{call}", 49003, "nobody")
    with transaction.atomic():
        held = Subscriber.objects.held().filter(account=edit.account_id, openid__in=written)
        for person in held.in_order():
            _note(person, edit, number)
        if not FollowerEdit.objects.finish(edit, remark=""):
            raise LeaseLost


def _each(change: Any, number: int, openids: Sequence[str]) -> list[str]:
    """Changes the tag of the people whom WeChat knows, and returns them.

    A single unknown OpenID makes a call fail, so a failed call is repeated with each half.
    """
    try:
        change(number, openids)
    except RecipientRejected:
        if len(openids) == 1:
            return []
        middle = len(openids) // 2
        return [
            openid
            for part in (openids[:middle], openids[middle:])
            for openid in _each(change, number, part)
        ]
    return list(openids)


def _number(edit: FollowerEdit, tags: Tags) -> int:
    """WeChat's number of the tag; makes a missing tag if it is to be put on. 0 if there is none."""
    known = FollowerTag.objects.filter(account=edit.account_id, name=edit.tag_name)
    number = known.values_list("number", flat=True).first()
    if number is None:
        keep_tags(edit.account, tags.all())
        number = known.values_list("number", flat=True).first()
    if number is not None or edit.act == FollowerEdit.Act.UNTAG:
        return number or 0
    try:
        made = tags.create(edit.tag_name)
    except Refused as error:
        if error.errcode != _NAME_TAKEN:
            raise
    else:
        FollowerTag.objects.get_or_create(
            account=edit.account, number=made.id, defaults={"name": edit.tag_name}
        )
        return made.id
    # Somebody made the tag meanwhile.
    keep_tags(edit.account, tags.all())
    return known.values_list("number", flat=True).first() or 0


def _note(person: Subscriber, edit: FollowerEdit, number: int) -> None:
    numbers = set(numbers_of(person))
    columns: dict[str, Any] = {}
    match edit.act:
        case FollowerEdit.Act.REMARK:
            columns["remark"] = edit.remark
        case FollowerEdit.Act.TAG:
            numbers |= {number}
        case FollowerEdit.Act.UNTAG:
            numbers -= {number}
    if edit.act != FollowerEdit.Act.REMARK:
        columns["tag_ids"] = ",".join(map(str, sorted(numbers)))[:255]
    Subscriber.objects.filter(pk=person.pk).update(
        **columns,
        refresh_requested_at=person.refresh_requested_at or timezone.now(),
        updated_at=CHANGED_NOW,
    )

"""Reads the names of WeChat's tags in the worker, and names the tags of followers."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events.jobs.run import serve
from events.models import OfficialAccount
from events.models.job import LeaseLost
from events.numbers import numbers_in
from events.platform.client import client_for
from events.platform.rights import able_accounts
from events.wechat.api.tags import Tag
from subscribers.models import FollowerTag, Subscriber, TagRead

__all__ = [
    "keep_tags",
    "named",
    "numbers_of",
    "read_names",
    "read_regularly",
    "tag_names",
    "tags_of",
    "with_tag",
]

_READ_EVERY = datetime.timedelta(hours=6)
# The length of the column; a name at WeChat has at most 30 characters.
_NAME_LENGTH = 64


def read_names() -> int:
    """Reads the tags of accounts that are due; returns how many (`serve`)."""
    return serve(TagRead.objects.all(), _read)


def read_regularly() -> int:
    """Makes accounts due whose tags were not read for some hours; returns how many."""
    now = timezone.now()
    able = able_accounts()
    for pk in able.exclude(pk__in=TagRead.objects.values("pk")).values_list("pk", flat=True):
        TagRead.objects.get_or_create(account_id=pk)
    long_ago = TagRead.objects.filter(due_at=None, account__in=able.values("pk"))
    # After a refusal WeChat is asked again too: the account may have been certified since.
    done = long_ago.filter(failure="", read_at__lte=now - _READ_EVERY)
    failed = long_ago.exclude(failure="").filter(failed_at__lte=now - _READ_EVERY)
    return done.update(due_at=now) + failed.update(due_at=now, attempts=0)


def keep_tags(account: OfficialAccount, tags: Iterable[Tag]) -> None:
    """Stores the account's tags as WeChat has them; removes all others."""
    found = {tag.id: tag for tag in tags}
    with transaction.atomic():
        kept = FollowerTag.objects.filter(account=account)
        kept.exclude(number__in=found).delete()
        FollowerTag.objects.bulk_create(
            [
                FollowerTag(
                    account=account,
                    number=tag.id,
                    name=tag.name[:_NAME_LENGTH],
                    follower_count=max(0, tag.count),
                )
                for tag in found.values()
            ],
            update_conflicts=True,
            unique_fields=["account", "number"],
            update_fields=["name", "follower_count"],
        )


def numbers_of(subscriber: Subscriber) -> list[int]:
    """WeChat's numbers of a follower's tags."""
    return _numbers(subscriber.tag_ids)


def _numbers(tag_ids: str) -> list[int]:
    return numbers_in(tag_ids.split(","))


def tag_names(accounts: Collection[int]) -> Mapping[tuple[int, int], str]:
    """The names of the accounts' tags, by account and number."""
    tags = FollowerTag.objects.filter(account__in=accounts)
    return {
        (pk, number): name for pk, number, name in tags.values_list("account", "number", "name")
    }


def tags_of(subscriber: Subscriber, names: Mapping[tuple[int, int], str]) -> list[str]:
    """The names of a follower's tags; `#` and the number if a name is not known yet."""
    return named(subscriber.account_id, subscriber.tag_ids, names)


def named(account_id: int, tag_ids: str, names: Mapping[tuple[int, int], str]) -> list[str]:
    """The names of tags as tags_of() gives them, from the values of a follower's columns."""
    return [names.get((account_id, number), f"#{number}") for number in _numbers(tag_ids)]


def with_tag(number: int) -> Q:
    """The condition that a follower has the tag with this number."""
    return (
        Q(tag_ids=f"{number}")
        | Q(tag_ids__startswith=f"{number},")
        | Q(tag_ids__endswith=f",{number}")
        | Q(tag_ids__contains=f",{number},")
    )


def _read(read: TagRead) -> None:
    keep_tags(read.account, client_for(read.account).tags.all())
    if not TagRead.objects.finish(read, read_at=timezone.now()):
        raise LeaseLost

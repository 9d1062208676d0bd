"""Publishes, withdraws and takes back menus, and compares them with the menu that WeChat shows.

An operator's request becomes a job. Only the worker's tasks at the end of this module call WeChat.
At most one version of an account waits at a time, so WeChat gets menus in the order of the
requests.
"""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from events.jobs.run import CALL_LEASE, serve
from events.models import LiveMenu, MenuVersion, OfficialAccount
from events.platform.client import client_for
from events.platform.hindrances import hindrance
from events.wechat.api.menu_model import CurrentMenu, problems

__all__ = [
    "MENUS",
    "NotPossible",
    "ask_wechat",
    "last_published_here",
    "look_at_menus",
    "look_regularly",
    "publish",
    "publish_menus",
    "take_back",
    "withdraw",
]

# The right that publishing needs.
MENUS = "/cgi-bin/menu/create"

logger = logging.getLogger(__name__)

# The site notices a change in WeChat's console within this time.
_LOOK_EVERY = datetime.timedelta(hours=12)
# The most published versions with which to compare WeChat's menu.
_COMPARED = 20


class NotPossible(Exception):
    """An operator's request does not fit the version's state; the text says why."""


# --- Operators' requests --------------------------------------------------------------------------


def publish(version: MenuVersion, *, user: Any) -> None:
    """Makes the worker publish a draft or failed version, instead of one that waits.

    Raises NotPossible if the account lacks the right, or WeChat would refuse the menu. Also raises
    it if the version is no longer editable or has changed since `version` was read, or if another
    version is on its way to WeChat.
    """
    if (hindered := hindrance(version.account_id, MENUS)) is not None:
        raise NotPossible(str(hindered))
    if problems(version.content):
        raise NotPossible(_("WeChat would refuse this menu. Correct it first."))
    now = timezone.now()
    with transaction.atomic():
        # One request at a time for each account. This lock does not stop the account's events,
        # which refer to the row.
        OfficialAccount.objects.select_for_update(no_key=True).only("pk").get(pk=version.account_id)
        waiting = MenuVersion.objects.in_state(MenuVersion.State.WAITING)
        for other in waiting.filter(account=version.account_id).exclude(pk=version.pk):
            _call_off(other, now)
        editable = MenuVersion.objects.editable().filter(pk=version.pk)
        if editable.filter(revision=version.revision).update(
            due_at=now, attempts=0, failure="", failure_text="", failed_at=None, published_by=user
        ):
            return
        if editable.exists():
            raise NotPossible(_("Another user has changed version %s meanwhile.") % version)
        raise NotPossible(_("Version %s is published already, or waits to be published.") % version)


def withdraw(version: MenuVersion) -> None:
    """Turns a waiting version into a draft again.

    Raises NotPossible if it no longer waits, or if it is on its way to WeChat.
    """
    _call_off(version, timezone.now())


def take_back(version: MenuVersion, *, user: Any, note: str) -> MenuVersion:
    """Makes the worker publish a published version again; returns the new version.

    Raises NotPossible as `publish` does, and if the version was never published.
    """
    if version.published_at is None:
        raise NotPossible(_("Version %s has not been published yet.") % version)
    with transaction.atomic():
        again = MenuVersion.objects.create(
            account_id=version.account_id,
            menu=version.menu,
            based_on=version,
            note=note,
            created_by=user,
            due_at=None,
        )
        publish(again, user=user)
    again.refresh_from_db()
    return again


def ask_wechat(account: OfficialAccount) -> None:
    """Makes the worker ask WeChat which menu followers see."""
    now = timezone.now()
    LiveMenu.objects.get_or_create(account=account, defaults={"due_at": now})
    LiveMenu.objects.filter(pk=account.pk).update(due_at=now, attempts=0)


def last_published_here(account_id: int) -> MenuVersion | None:
    """Returns the latest menu that this site published for the account."""
    here = MenuVersion.objects.published().made_here().filter(account=account_id)
    return here.newest_first().first()


def _call_off(version: MenuVersion, now: datetime.datetime) -> None:
    waiting = MenuVersion.objects.in_state(MenuVersion.State.WAITING).filter(pk=version.pk)
    at_rest = waiting.filter(Q(leased_until=None) | Q(leased_until__lte=now))
    if at_rest.update(
        due_at=None, attempts=0, lease="", failure="", failure_text="", failed_at=None
    ):
        return
    if waiting.exists():
        raise NotPossible(
            _("Version %s is on its way to WeChat. Try again in a few seconds.") % version
        )
    raise NotPossible(_("Version %s does not wait any more.") % version)


# --- The worker's tasks ---------------------------------------------------------------------------


def publish_menus(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """Publishes the due versions; returns how many (`serve`)."""
    return serve(MenuVersion.objects.all(), _publish, lease=lease)


def look_at_menus(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """Asks WeChat for the due accounts which menu followers see; returns how many (`serve`)."""
    return serve(LiveMenu.objects.all(), _compare_with_wechat, lease=lease)


def look_regularly() -> int:
    """Makes the menus due that the site has not compared for some hours; returns how many."""
    now = timezone.now()
    long_ago = LiveMenu.objects.filter(due_at=None, failure="", asked_at__lte=now - _LOOK_EVERY)
    return long_ago.filter(account__is_active=True).update(due_at=now)


def _publish(version: MenuVersion) -> None:
    client_for(version.account).menus.create(version.content)
    now = timezone.now()
    with transaction.atomic():
        if not MenuVersion.objects.finish(version, published_at=now):
            # This menu may have replaced another version that was published since, so ask WeChat.
            logger.warning("Menu %s was published after its lease had ended", version)
            ask_wechat(version.account)
            return
        LiveMenu.objects.get_or_create(account=version.account, defaults={"due_at": now})
        # Ask WeChat again to confirm. Ending the lease discards the answer of another worker that
        # asks just now, because it may get the former menu.
        LiveMenu.objects.filter(pk=version.account_id).update(
            version=version, due_at=now, attempts=0, lease="", leased_until=None
        )


def _compare_with_wechat(live: LiveMenu) -> None:
    calls = client_for(live.account).menus
    shown, made = calls.current(), calls.get()
    with transaction.atomic():
        if not LiveMenu.objects.finish(
            live, asked_at=timezone.now(), conditional_menus=len(made.conditional) if made else 0
        ):
            return
        waiting = MenuVersion.objects.in_state(MenuVersion.State.WAITING)
        # A version that a worker has tried may be at WeChat already; its publication asks again.
        if not waiting.filter(account=live.account_id, attempts__gt=0).exists():
            version = _version_of(live.account_id, shown)
            LiveMenu.objects.filter(pk=live.pk).update(version=version)


def _version_of(account_id: int, shown: CurrentMenu) -> MenuVersion | None:
    """Returns the version with the menu that WeChat shows; makes one if none has it."""
    if not (shown.is_open and shown.menu.buttons):
        return None
    published = MenuVersion.objects.published().filter(account=account_id).newest_first()
    for version in published[:_COMPARED]:
        if version.content == shown.menu:
            return version
    return MenuVersion.objects.create(
        account_id=account_id,
        menu=shown.menu.to_json(),
        origin=MenuVersion.Origin.WECHAT,
        published_at=timezone.now(),
        due_at=None,
    )

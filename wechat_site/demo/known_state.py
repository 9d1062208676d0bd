"""Puts the site's accounts on the fake platform, with the state that the site knows.

The fake platform is in memory and starts empty each time. This module reads from the site's
database what WeChat would remember: who follows, the codes it made, the menu it showed, and who may
get messages. For demonstrations and development only.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from events.models import EventLog, LiveMenu, OfficialAccount
from events.simulator import Follower, Push
from events.simulator.fake_api import FakeAccount, FakeWeChatAPI, Followers, Issued
from events.wechat.api.menu_model import Menu
from subscribers.models import Binding, BindingRequest, QRScene, SeenScene, Subscriber
from subscribers.qr_codes.create import ticket_in_log

__all__ = ["add_account", "known_followers"]

# How long the window is that a message of a follower opens.
_REMEMBERED = datetime.timedelta(hours=48)
_MOST_PEOPLE = 100_000


def add_account(
    platform: FakeWeChatAPI,
    account: OfficialAccount,
    followers: Followers,
    *,
    menu: Menu | None = None,
) -> FakeAccount:
    """Adds an account of the site to the fake platform, with the state that the site knows.

    The fake platform shows `menu` if the site has not yet asked for the account's menu.
    """
    there = platform.add_account(account.app_id, account.app_secret, followers=followers)
    for code in _codes(account):
        there.hang(code)
    there.console_menu = _as_shown(_menu(account) or menu or Menu(()))
    for push in _recent_acts(account):
        there.note_push(push)
    return there


def known_followers(account: OfficialAccount) -> list[Follower]:
    """The followers of an earlier run, so that the demo continues with them."""
    bound = set(
        Binding.objects.active().filter(account=account).values_list("subscriber", flat=True)
    )
    rows = Subscriber.objects.filter(account=account).order_by("-id")[:_MOST_PEOPLE]
    people = [
        Follower(
            person.openid,
            is_following=person.is_following,
            last_act=_seconds(person.last_seen_at),
            has_scanned_code=person.pk in bound,
            followed_at=_seconds(person.last_followed_at),
            follow_key=_follow_key(person),
        )
        for person in rows.iterator()
    ]
    # The newest followers are the most active.
    return people[::-1]


def _follow_key(person: Subscriber) -> str:
    by_code = person.last_scene and person.last_scene_at == person.last_followed_at
    return f"qrscene_{person.last_scene}" if by_code else ""


def _codes(account: OfficialAccount) -> Iterator[Issued]:
    long_ago = account.created_at.timestamp()
    for code in QRScene.objects.filter(account=account).exclude(ticket=""):
        yield Issued(code.scene, code.ticket, code.url, long_ago, _moment(code.expires_at))
    for seen in SeenScene.objects.unknown().filter(account=account):
        if ticket := ticket_in_log(account, seen.scene):
            yield Issued(seen.scene, ticket, "", long_ago, None)
    for request in BindingRequest.objects.open().filter(account=account):
        if request.ticket:
            made_at = request.created_at.timestamp()
            expires_at = request.expires_at.timestamp()
            yield Issued(request.scene, request.ticket, request.url, made_at, expires_at)


def _menu(account: OfficialAccount) -> Menu | None:
    """The menu of WeChat's last answer; None if the site never asked."""
    live = LiveMenu.objects.filter(account=account, asked_at__isnull=False).first()
    if live is None:
        return None
    return live.version.content if live.version else Menu(())


def _as_shown(menu: Menu) -> dict[str, Any]:
    """The menu in the shape of get_current_selfmenu_info."""
    return {
        "button": [
            {**button, "sub_button": {"list": button["sub_button"]}}
            if "sub_button" in button
            else button
            for button in menu.to_json()["button"]
        ]
    }


def _recent_acts(account: OfficialAccount) -> Iterator[Push]:
    recent = EventLog.objects.filter(
        account=account,
        source=EventLog.Source.CALLBACK,
        event_time__gt=timezone.now() - _REMEMBERED,
    ).order_by("event_time")
    fields = ("openid", "event_time", "msg_type", "event", "event_key", "raw")
    for openid, event_time, msg_type, event, key, raw in recent.values_list(*fields).iterator():
        # The body names the file of a picture, voice or video.
        yield Push(openid, _seconds(event_time), msg_type, event, key, body=bytes(raw or b""))


def _seconds(moment: datetime.datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0


def _moment(moment: datetime.datetime | None) -> float | None:
    return moment.timestamp() if moment else None

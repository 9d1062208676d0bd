"""Plays the people on the demo's site, with the functions that its pages call."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from collections.abc import Callable
from random import Random

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.utils import timezone

from events.menus.publish import NotPossible, ask_wechat, publish
from events.models import EventLog, LiveMenu, MenuVersion, OfficialAccount, TaskRun
from subscribers.binding.bind import start_binding
from subscribers.messages.send import NotDeliverable, send_message
from subscribers.models import (
    Binding,
    BindingRequest,
    FollowerSync,
    OutgoingMessage,
    WeChatDay,
)

from .shop import ANSWERS, MENU, USER_NAMES, make_colleague

__all__ = ["Staff"]

logger = logging.getLogger(__name__)

# The share of users who ask for a binding although they are bound.
_FORGETFUL = 0.1
# How many users bind, and how many followers get answers, as soon as the past has arrived.
_AT_ONCE = 6
# A colleague answers only texts that are not older than this.
_READ_BACK = datetime.timedelta(hours=47)
_READ_AT_ONCE = 200


class Staff:
    """Plays the operator, a colleague and the site's users, each call in the caller's thread."""

    def __init__(self, account: OfficialAccount, random: Random) -> None:
        self._account = account
        self._random = random
        self._colleague = make_colleague()
        self._users = [User.objects.get_or_create(username=name)[0] for name in USER_NAMES]

    def look_at_menu(self) -> None:
        """Asks what menu WeChat shows, at the first start."""
        if not LiveMenu.objects.filter(account=self._account).exists():
            ask_wechat(self._account)

    def publish_menu(self) -> bool:
        """Publishes a menu once WeChat's former menu is known; False until then."""
        versions = MenuVersion.objects.filter(account=self._account)
        if versions.made_here().exists():
            return True
        if not LiveMenu.objects.filter(account=self._account, asked_at__isnull=False).exists():
            return False
        operator = User.objects.get(username="operator")
        draft = versions.create(
            account=self._account,
            menu=MENU.to_json(),
            note="加入商城和优惠券",
            created_by=operator,
            due_at=None,
        )
        try:
            publish(draft, user=operator)
        except NotPossible as refused:
            logger.warning("The menu is not published: %s", refused)
        return True

    def sync_followers(self) -> None:
        """Starts a follower sync, at the first start."""
        if not FollowerSync.objects.filter(account=self._account).exists():
            FollowerSync.objects.begin(
                self._account,
                origin=FollowerSync.Origin.OPERATOR,
                now=timezone.now(),
                by=User.objects.get(username="operator"),
            )

    def read_figures_again(self) -> None:
        """Has the worker fetch WeChat's daily figures anew: it asked before the past arrived."""
        WeChatDay.objects.filter(account=self._account).delete()
        TaskRun.objects.filter(pk="figures").update(next_run_at=timezone.now())

    def begin(self) -> None:
        """Does the staff's first acts, after the past has arrived."""
        for _number in range(_AT_ONCE):
            self.start_binding()
        self.answer_followers(at_most=_AT_ONCE)

    def start_binding(self) -> None:
        """A user asks for a code to bind their WeChat with."""
        mine = {"account": self._account}
        waiting = set(BindingRequest.objects.open().filter(**mine).values_list("user", flat=True))
        bound = set(Binding.objects.active().filter(**mine).values_list("user", flat=True))
        if self._random.random() < _FORGETFUL:
            bound = set()
        wishing = [user for user in self._users if user.pk not in waiting | bound]
        if wishing:
            start_binding(account=self._account, user=self._random.choice(wishing))

    def answer_followers(self, *, at_most: int = 1) -> None:
        """A colleague answers the latest texts of followers."""
        written = EventLog.objects.filter(
            account=self._account,
            source=EventLog.Source.CALLBACK,
            kind="text",
            event_time__gt=timezone.now() - _READ_BACK,
        ).newest_first()
        read = list(written[:_READ_AT_ONCE])
        answered = set(
            OutgoingMessage.objects.filter(
                account=self._account, event_id__in=[event.pk for event in read]
            ).values_list("event_id", flat=True)
        )
        for event in read:
            message = ANSWERS.get((event.payload or {}).get("Content", ""))
            if message is None or event.pk in answered or not at_most:
                continue
            with contextlib.suppress(NotDeliverable):
                send_message(event, message, by=self._colleague)
                at_most -= 1

    def work(self, stop: threading.Event, *, every: float) -> None:
        """Does one act about every `every` seconds, until `stop` is set."""
        deeds = (self.start_binding, self.answer_followers)
        while not stop.wait(self._random.uniform(0.5, 1.5) * every):
            self.do(self._random.choice(deeds))

    @staticmethod
    def do(deed: Callable[[], None]) -> None:
        """Does one act, logs an error of the database, and closes the connection."""
        try:
            deed()
        except DatabaseError as error:
            logger.warning("%s: %s", deed.__name__, error)
        finally:
            connection.close()

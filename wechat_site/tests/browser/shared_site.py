"""The site that the browser tests share: web server, worker, and WeChat's side of it.

Each file of tests has an account of its own there, and an administrator who sees no other.
"""

from __future__ import annotations

import itertools
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

from events.simulator.fake_api import FakeAccount, FakeWeChatAPI
from events.simulator.fake_api.service import Answer, Request
from events.wechat import xml
from wechat_site.tests.browser.screen import Screen
from wechat_site.tests.browser.seed import ACCOUNTS, SECRET, app_id_of
from wechat_site.tests.serving.wechat_timing import WeChat
from wechat_site.tests.site import LIMIT, Site

__all__ = ["HeldAPI", "SharedSite"]

_numbers = itertools.count(1)


class HeldAPI(FakeWeChatAPI):
    """WeChat's API, which a test may keep from answering."""

    def __init__(self) -> None:
        super().__init__(random=Random(1))
        self._answers = threading.Event()
        self._answers.set()
        for slug in ACCOUNTS:
            self.add_account(app_id_of(slug), SECRET)

    def handle(self, request: Request) -> Answer:
        self._answers.wait(LIMIT)
        return super().handle(request)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is answered before the block ends."""
        self._answers.clear()
        try:
            yield
        finally:
            self._answers.set()


class SharedSite:
    """The running site, and what its surroundings do: WeChat, followers, time.

    `application` is where an application waits for users who sign in to it here.
    """

    def __init__(self, site: Site, api: HeldAPI) -> None:
        self.site = site
        self.api = api
        self.url = f"http://127.0.0.1:{site.port}"
        seeded = site.manage(
            *("shell", "-v0", "-c", "from wechat_site.tests.browser.seed import seed; seed()")
        )
        self._paths, self._sessions, self.application = json.loads(seeded)

    def at_wechat(self, slug: str) -> FakeAccount:
        """The account on WeChat's side."""
        return self.api.account(app_id_of(slug))

    @contextmanager
    def screen(self, chromium: Any, user: str = "", **options: Any) -> Iterator[Screen]:
        """A screen of this user, who is signed in, or of a stranger."""
        session = self._sessions[user] if user else ""
        with Screen.of(chromium, self.url, session=session, **options) as screen:
            yield screen

    def cookie(self, user: str) -> dict[str, str]:
        """With it, a context's pages are this user's."""
        return {"name": "sessionid", "value": self._sessions[user], "url": self.url}

    def scan(self, openid: str, *, at: str) -> str:
        """The follower scans the code that was made last; returns what the chat answers."""
        scene = self.at_wechat(at).codes[-1].scene
        return self.push(at, openid, MsgType="event", Event="SCAN", EventKey=scene, Ticket="t")

    def say(self, openid: str, text: str, *, at: str) -> str:
        """The follower writes to the account; returns what the chat answers."""
        return self.push(at, openid, MsgType="text", Content=text, MsgId=next(_numbers))

    def push(self, slug: str, openid: str, **fields: str | int) -> str:
        """WeChat tells of an act of the follower; returns what the chat answers."""
        original_id = f"gh_{slug}"
        wechat = WeChat(self.site.port, self._paths[slug], original_id, seconds=LIMIT)
        envelope = {
            "ToUserName": original_id,
            "FromUserName": openid,
            "CreateTime": int(time.time()),
        }
        with socket.create_connection(("127.0.0.1", self.site.port), LIMIT) as line:
            line.sendall(wechat.request(xml.element("xml", envelope | fields).encode()))
            answer = b"".join(iter(lambda: line.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], answer
        return "" if body == b"success" else str(xml.parse(body).get("Content"))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Asks the site's database, or changes what only time would change."""
        with closing(sqlite3.connect(self._database, timeout=LIMIT)) as connection, connection:
            return connection.execute(statement).fetchall()

    @property
    def _database(self) -> str:
        return self.site.environment["DATABASE_URL"].removeprefix("sqlite:///")

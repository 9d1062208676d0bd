"""Reply handlers that take seconds, on a running site, by WeChat's own timing.

Each of its seconds is SCALE of ours; less than one makes these tests ask for speed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from events.simulator import Follower
from events.simulator.fake_api import (
    FakeAccount,
    FakeWeChatAPI,
    FakeWeChatAPIServer,
    ListedFollowers,
)
from events.simulator.pushes import Push
from wechat_site.tests.launch import children_of
from wechat_site.tests.serving.wechat_timing import TOKEN, WeChat
from wechat_site.tests.site import Site, site_of_its_own

pytestmark = pytest.mark.slow

SCALE = 1
APP_SECRET = "5d41402abc4b2a76b9719d911017c592"
HOLD = "正在为您处理，回复任意内容查看结果"
# Accounts: one that may send customer-service messages, one that may not, and one more.
ACCOUNTS = {"service": "message", "unverified": "next", "other": "message"}

HANDLER = f"""
import time
from events.extend import TextReply, reply_handler

@reply_handler("text", override=True)
def answer(event):
    word, _, seconds = event.payload["Content"].partition(" ")
    if word == "long":
        return TextReply("字" * 1500)
    time.sleep({SCALE} * float(seconds or 0))
    return TextReply("after " + seconds) if word == "sleep" else None
"""
PREPARE = """
from events.models import OfficialAccount
for slug, late in {accounts!r}.items():
    OfficialAccount.objects.filter(slug=slug).update(late_answers=late)
"""
SIGN_IN = """
from django.contrib.auth.models import User
from django.test import Client
from events.models import OfficialAccount
browser = Client()
browser.force_login(User.objects.create_superuser("operator"))
print(browser.cookies["sessionid"].value, OfficialAccount.objects.get(slug="load").pk)
"""
ROWS = """
import json
from events.models import EventLog
print(json.dumps(list(EventLog.objects.filter(openid__in={openids!r}).order_by("id").values(
    "openid", "kind", "status", "answered_by", "delivery_count", "attempts", "is_cut", "lease",
    "account__slug",
))))
"""


def app_id(slug: str) -> str:
    return "wx" + slug.encode().hex().ljust(16, "0")[:16]


class SlowSite:
    """A site whose handler sleeps as long as the message says, and WeChat around it."""

    def __init__(self, site: Site, api: FakeWeChatAPI, people: dict[str, ListedFollowers]) -> None:
        self.site = site
        self.api = api
        self.people = people
        self.paths: dict[str, str] = {}
        for slug in ACCOUNTS:
            output = site.manage(
                *("add_account", slug, "--original-id", f"gh_{slug}", "--mode", "plaintext"),
                *("--app-id", app_id(slug), "--token", TOKEN, "--app-secret", APP_SECRET),
                *("--site-url", "http://site"),
            )
            self.paths[slug] = output.splitlines()[-1].removeprefix("http://site")
        site.manage("shell", "-v0", "-c", PREPARE.format(accounts=ACCOUNTS))
        self.web = site.start_web()
        asyncio.run(self._warm_up())

    async def _warm_up(self) -> None:
        """A process's first push takes longer than others."""
        names = [f"w{n}" for n in range(8)]
        self.knows("other", *names)
        await asyncio.gather(*(self.wechat("other").text(name, "sleep 0") for name in names))

    def wechat(self, slug: str) -> WeChat:
        return WeChat(self.site.port, self.paths[slug], f"gh_{slug}", seconds=5 * SCALE)

    def at_wechat(self, slug: str) -> FakeAccount:
        return self.api.account(app_id(slug))

    def knows(self, slug: str, *openids: str) -> None:
        """They follow the account, and just wrote to it, as WeChat sees it."""
        for openid in openids:
            self.people[slug].add(Follower(openid, is_following=True))
            self.at_wechat(slug).note_push(Push(openid, int(time.time()), "text", ""))

    def sent(self, openids: Collection[str]) -> dict[str, list[str]]:
        """The customer-service messages that went out to those, by follower."""
        texts: dict[str, list[str]] = {}
        for sent in self.at_wechat("service").sent:
            if sent.openid in openids:
                texts.setdefault(sent.openid, []).append(sent.body["text"]["content"])
        return texts

    def rows(self, openids: Collection[str]) -> list[dict[str, Any]]:
        code = ROWS.format(openids=list(openids))
        rows: list[dict[str, Any]] = json.loads(self.site.manage("shell", "-v0", "-c", code))
        return rows

    def ways(self, openids: Collection[str]) -> dict[str, str]:
        return {row["openid"]: row["answered_by"] for row in self.rows(openids)}

    @contextmanager
    def worker(self) -> Iterator[None]:
        worker = self.site.start("manage.py", "worker")
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()

    def wait_until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, self.site.log.read_text()[-4000:]
            time.sleep(0.2)


@pytest.fixture(scope="module")
def slow_site(
    tmp_path_factory: pytest.TempPathFactory, prepared_database: str
) -> Iterator[SlowSite]:
    """One for all tests here; each has followers of its own."""
    folder = tmp_path_factory.mktemp("slow")
    app = folder / "apps" / "slow_answers"
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    (app / "wechat.py").write_text(HANDLER)
    api = FakeWeChatAPI(random=random.Random(1))
    people = {slug: ListedFollowers() for slug in ACCOUNTS}
    for slug, followers in people.items():
        api.add_account(app_id(slug), APP_SECRET, followers=followers)
    with (
        FakeWeChatAPIServer(api) as server,
        site_of_its_own(
            folder,
            prepared_database,
            WECHAT_API_BASE=server.url,
            EXTRA_APPS="slow_answers",
            PYTHONPATH=str(app.parent),
            CALLBACK_SECONDS=str(5 * SCALE),
        ) as site,
    ):
        yield SlowSite(site, api, people)


def test_each_answer_reaches_the_follower_once_by_the_way_the_documentation_says(
    slow_site: SlowSite,
):
    """docs/extending.md has the table."""
    service, unverified = slow_site.wechat("service"), slow_site.wechat("unverified")
    verified, others = ("s3", "s8", "s13", "s20", "long"), ("u3", "u8", "u13", "u20", "cut")
    everybody = (*verified, *others)
    slow_site.knows("service", *verified)
    slow_site.knows("unverified", *others)

    async def ask() -> dict[str, Any]:
        askers = {
            **{f"s{n}": service.text(f"s{n}", f"sleep {n}") for n in (3, 8, 13, 20)},
            **{f"u{n}": unverified.text(f"u{n}", f"sleep {n}") for n in (3, 8, 13, 20)},
            "long": service.text("long", "long"),
            "cut": unverified.text("cut", "long"),
        }
        return dict(zip(askers, await asyncio.gather(*askers.values()), strict=True))

    with slow_site.worker():
        told = asyncio.run(ask())
        # of the service account's the late one and the rest of the long one go out as messages
        slow_site.wait_until(lambda: sum(map(len, slow_site.sent(everybody).values())) == 3)
        # the other one's is kept for the next message
        slow_site.wait_until(
            lambda: all(row["status"] == "processed" for row in slow_site.rows(everybody))
        )
    for account in "su":
        for seconds, tries in ((3, 1), (8, 2), (13, 3)):
            answer = told[f"{account}{seconds}"]
            assert (answer.text, answer.tries) == (f"after {seconds}", tries), answer
    assert not told["s20"].text, told["s20"]
    assert told["s20"].tries == 3
    assert (told["u20"].text, told["u20"].tries) == (HOLD, 3)
    assert told["long"].text == "字" * 682
    assert told["cut"].text == "字" * 681 + "…"

    sent = slow_site.sent(everybody)
    assert sent == {"s20": ["after 20"], "long": ["字" * 682, "字" * 136]}, sent
    assert slow_site.ways(everybody)["u20"] == "kept"
    later = asyncio.run(unverified.text("u20", "anything"))
    assert (later.text, later.tries) == ("after 20", 1)

    rows = slow_site.rows(everybody)
    ways = {(row["openid"], row["answered_by"], row["is_cut"]) for row in rows}
    heard = {(f"{a}{n}", "reply", False) for a in "su" for n in (3, 8, 13)}
    assert ways == heard | {
        ("s20", "message", False),
        ("u20", "next", False),
        ("u20", "reply", False),
        ("long", "reply", False),
        ("cut", "reply", True),
    }
    assert {row["attempts"] for row in rows} == {0}
    assert all("503" not in map(str, answer.statuses) for answer in told.values())


def test_slow_askers_of_one_account_delay_nobody_of_another(slow_site: SlowSite):
    service, other = slow_site.wechat("service"), slow_site.wechat("other")
    askers = [f"asker{n}" for n in range(40)]
    followers = [f"follower{n}" for n in range(100)]
    slow_site.knows("service", *askers)
    slow_site.knows("other", *followers)

    async def follow(number: int) -> Any:
        await asyncio.sleep(number / 20)
        return await other.follow(followers[number])

    async def both() -> tuple[list[Any], list[Any]]:
        asking = [service.text(openid, "sleep 20") for openid in askers]
        following = [follow(number) for number in range(100)]
        told = await asyncio.gather(*asking, *following)
        return list(told[:40]), list(told[40:])

    with slow_site.worker():
        asked, followed = asyncio.run(both())
        slow_site.wait_until(lambda: len(slow_site.sent(askers)) == len(askers), seconds=120)
    assert {tuple(told.statuses) for told in followed} == {(200,)}
    assert all(503 not in told.statuses for told in asked)
    assert slow_site.sent(askers) == {openid: ["after 20"] for openid in askers}
    rows = slow_site.rows([*askers, *followers])
    assert len(rows) == 140
    assert {row["status"] for row in rows} == {"processed"}
    assert {row["answered_by"] for row in rows if row["kind"] == "text"} == {"message"}


def test_a_killed_process_is_followed_by_the_worker_which_answers_once(slow_site: SlowSite):
    service = slow_site.wechat("service")
    slow_site.knows("service", "killed")

    async def ask_and_kill() -> None:
        asking = asyncio.ensure_future(service.text("killed", "sleep 8"))
        await asyncio.sleep(3 * SCALE)
        for pid in (slow_site.web.pid, *children_of(slow_site.web.pid)):
            os.kill(pid, signal.SIGKILL)
        await asking

    asyncio.run(ask_and_kill())
    [row] = slow_site.rows(["killed"])
    assert (row["status"], row["answered_by"]) == ("received", "")
    assert row["lease"]
    slow_site.web = slow_site.site.start_web()
    with slow_site.worker():
        slow_site.wait_until(lambda: bool(slow_site.sent(["killed"])))
        slow_site.wait_until(lambda: slow_site.ways(["killed"]) == {"killed": "message"})
        time.sleep(10 * SCALE)
    assert slow_site.sent(["killed"]) == {"killed": ["after 8"]}


def test_another_process_waits_for_the_same_run(slow_site: SlowSite):
    """Connections are shared out among the web processes, so a repetition often meets another."""
    service = slow_site.wechat("service")
    six = [f"six{n}" for n in range(6)]

    async def ask() -> list[Any]:
        return await asyncio.gather(*(service.text(openid, "sleep 8") for openid in six))

    told = asyncio.run(ask())
    assert {answer.text for answer in told} == {"after 8"}, told
    # The third try on a machine that takes seconds to begin.
    assert {answer.tries for answer in told} <= {2, 3}, told
    rows = slow_site.rows(six)
    assert {(row["answered_by"], row["attempts"]) for row in rows} == {("reply", 0)}


def test_a_page_is_saved_while_a_handler_runs(slow_site: SlowSite):
    service = slow_site.wechat("service")
    session, account = slow_site.site.manage("shell", "-v0", "-c", SIGN_IN).split()

    def save() -> httpx.Response:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{slow_site.site.port}",
            timeout=60,
            cookies={"sessionid": session},
        ) as browser:
            browser.get("/admin/events/replyrule/add/")
            form = {
                "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                **{"account": account, "name": "K", "is_active": "on", "on": "message"},
                **{"message_kind": "text", "how": "contains_any", "words": "K"},
                **{"answers0-kind": "text", "answers0-content": "saved"},
            }
            return browser.post("/admin/events/replyrule/add/", data=form)

    async def ask_and_save() -> tuple[Any, httpx.Response]:
        asking = asyncio.ensure_future(service.text("beside", "sleep 13"))
        await asyncio.sleep(SCALE)
        saved = await asyncio.to_thread(save)
        return await asking, saved

    told, saved = asyncio.run(ask_and_save())
    assert saved.status_code == 302, saved.text
    assert told.text == "after 13"
    count = "from events.models import ReplyRule; print(ReplyRule.objects.filter(name='K').count())"
    assert slow_site.site.manage("shell", "-v0", "-c", count).strip() == "1"

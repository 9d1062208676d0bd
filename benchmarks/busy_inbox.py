"""Measures how long an agent waits for the inbox of a running site while followers write.

    python -m benchmarks.busy_inbox [--conversations 10000] [--rate 50] [--looks 15]

Web server and worker run as in production, and many conversations are open. The agent requests each
part of the inbox in turn, first alone, then while `--rate` texts a second arrive from any of the
followers. Prints Markdown with milliseconds (median and longest). The database is DATABASE_URL's
server, or SQLite; followers, agent and site share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

from benchmarks.inbox import paths
from wechat_site.tests.serving.wechat_timing import TOKEN, Told, WeChat
from wechat_site.tests.site import Site, site_of_its_own

__all__ = ["main"]

# Seconds between two requests, as if a person reads.
_PAUSE = 0.2
_PREPARE = """
import json
from django.contrib.auth.models import User
from django.test import Client
from benchmarks.inbox import conversation_to_open, fill
agent = User.objects.create_superuser("agent")
fill(conversations, agent.pk)
client = Client()
client.force_login(agent)
cookie = client.cookies.output(attrs=[], header="", sep=";").strip()
print(json.dumps([cookie, conversation_to_open()]))
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy_inbox")
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50, help="texts a second")
    parser.add_argument("--looks", type=int, default=15, help="at each part")
    options = parser.parse_args(arguments)
    production = {
        "DEBUG": "False",
        "BEHIND_TLS_PROXY": "True",
        "REQUIRE_SECOND_FACTOR": "False",
        "ALLOWED_HOSTS": "127.0.0.1,testserver",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        site_of_its_own(Path(folder), **production) as site,
    ):
        output = site.manage(
            *("add_account", "inbox", "--original-id", "gh_inbox", "--mode", "plaintext"),
            *("--app-id", "wx7075736865640000", "--token", TOKEN, "--site-url", "http://site"),
        )
        path = output.splitlines()[-1].removeprefix("http://site")
        prepare = f"conversations = {options.conversations}\n{_PREPARE}"
        cookie, one = json.loads(site.manage("shell", "-v0", "-c", prepare))
        site.manage("collectstatic", "--noinput", "-v0")
        site.start_web()
        site.start("manage.py", "worker")
        wechat = WeChat(site.port, path, "gh_inbox", seconds=5)
        asyncio.run(_measure(site, wechat, cookie, one, options))
    return 0


async def _measure(
    site: Site, wechat: WeChat, cookie: str, one: int, options: argparse.Namespace
) -> None:
    parts = paths(one)
    alone = await _look(site.port, cookie, parts, options.looks)
    told: list[Told] = []
    async with _texts(wechat, options.rate, options.conversations, told):
        await asyncio.sleep(3)
        beside = await _look(site.port, cookie, parts, options.looks)
    print(f"| page | nothing else | {options.rate:g} texts a second |")
    print("|---|---|---|")
    for name in parts:
        print(f"| {name} | {_in_words(alone[name])} | {_in_words(beside[name])} |")
    late = sum(push.tries > 1 or push.text is None for push in told)
    seconds = sorted(push.seconds for push in told)
    print(
        f"\n{len(told)} texts, {late} not answered at their first try; "
        f"99 of 100 answered within {1000 * seconds[int(0.99 * (len(seconds) - 1))]:.0f} ms."
    )


@contextlib.asynccontextmanager
async def _texts(
    wechat: WeChat, rate: float, followers: int, told: list[Told]
) -> AsyncIterator[None]:
    """Sends `rate` texts a second from any of the followers, until the end of the block."""
    random = Random(3)
    under_way: set[asyncio.Task[Told]] = set()

    async def write() -> None:
        began = time.monotonic()
        for number in range(10**9):
            await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
            openid = f"o{random.randrange(followers)}"
            task = asyncio.create_task(wechat.text(openid, "请问几点关门？"))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            task.add_done_callback(lambda done: told.append(done.result()))

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(*under_way)
        await asyncio.gather(writing, return_exceptions=True)


async def _look(
    port: int, cookie: str, parts: dict[str, str], looks: int
) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for path in parts.values():
        await _ask(port, cookie, path)
    for _look in range(looks):
        for name, path in parts.items():
            taken[name].append(await _ask(port, cookie, path))
            await asyncio.sleep(_PAUSE)
    return taken


async def _ask(port: int, cookie: str, path: str) -> float:
    """Milliseconds until the whole answer has arrived."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
        f"Cookie: {cookie}\r\nConnection: close\r\n\r\n"
    )
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode())
        answer = await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{path}: {answer[:300]!r}")
    return 1000 * (time.monotonic() - began)


def _in_words(taken: list[float]) -> str:
    return f"{statistics.median(taken):.0f} ({max(taken):.0f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

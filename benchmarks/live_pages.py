"""Measures what 2,000 open binding pages cost beside 200 pushes a second, if they wait or poll.

    python -m benchmarks.live_pages [--seconds 20] [--rate 200] [--pages 2000] [--means waiting]

It sends pushes while no page is open, while pages wait for a change, and while pages poll every 1.5
seconds. Meanwhile followers send codes, and it measures the time from such a push to the new word
on the page. Each push has a connection of its own. The last column is the processor time of the web
processes, which a busy machine changes less than the others. Prints Markdown. The database is
DATABASE_URL's server, or SQLite; load and site share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from benchmarks.processor_time import tree_seconds
from wechat_site.tests.serving.wechat_timing import TOKEN, WeChat
from wechat_site.tests.site import Site, site_of_its_own

__all__ = ["main"]

# In each measurement followers send so many codes, which so many pages show.
_CHANGES = 40
_ASKS_EVERY = 1.5
_MEANS = ("none", "waiting", "asking")
_PREPARE = """
import json
from django.contrib.auth.models import User
from django.db import transaction
from events.models import OfficialAccount
from subscribers.binding.bind import start_binding
from subscribers.models import BindingRequest
from wechat_site.live.tickets import progress_url
account = OfficialAccount.objects.get(slug="pushed")
User.objects.bulk_create(User(username=f"{prefix}-{n}") for n in range(number))
pages = []
with transaction.atomic():
    for user in User.objects.filter(username__startswith=f"{prefix}-"):
        row = start_binding(account=account, user=user, way=BindingRequest.Way.CODE)
        pages.append([progress_url(row), row.code])
print(json.dumps(pages))
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_pages")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--rate", type=float, default=200, help="pushes a second")
    parser.add_argument("--pages", type=int, default=2000, help="that are open")
    parser.add_argument("--means", default=",".join(_MEANS))
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder, site_of_its_own(Path(folder)) as site:
        output = site.manage(
            *("add_account", "pushed", "--original-id", "gh_pushed", "--mode", "plaintext"),
            *("--app-id", "wx7075736865640000", "--token", TOKEN, "--site-url", "http://site"),
        )
        path = output.splitlines()[-1].removeprefix("http://site")
        site.start_web()
        wechat = WeChat(site.port, path, "gh_pushed", seconds=5)
        asyncio.run(_push(wechat, 2, 50, "warm"))
        print(
            "| pages open | pushes | p50 ms | p99 ms | a change: p50 ms | p99 ms | missed "
            "| processor s |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for means in options.means.split(","):
            number = _CHANGES if means == "none" else options.pages
            prepare = f"prefix, number = {means!r}, {number}\n{_PREPARE}"
            pages = json.loads(site.manage("shell", "-v0", "-c", prepare))
            asyncio.run(_measure(means, site, wechat, pages, options))
    return 0


async def _measure(
    means: str,
    site: Site,
    wechat: WeChat,
    pages: list[tuple[str, str]],
    options: argparse.Namespace,
) -> None:
    shown = pages[:_CHANGES]
    waits = means != "asking"
    async with _open(site.port, pages[_CHANGES:], waits=waits):
        used = tree_seconds(site.processes[0].pid)
        pushing = asyncio.create_task(_push(wechat, options.seconds, options.rate, means))
        changes = []
        for number, (url, code) in enumerate(shown):
            await asyncio.sleep(options.seconds / len(shown) * 0.9)
            changes.append(
                asyncio.create_task(
                    _change(site.port, wechat, url, code, f"{means}{number}", waits=waits)
                )
            )
        pushed = await pushing
        heard = [seconds for seconds in await asyncio.gather(*changes) if seconds is not None]
        used = tree_seconds(site.processes[0].pid) - used
    what = "none" if means == "none" else f"{len(pages):,}, {means}"
    print(
        f"| {what} | {len(pushed)} | {_share(pushed, 0.5)} | {_share(pushed, 0.99)} "
        f"| {_share(heard, 0.5)} | {_share(heard, 0.99)} | {len(shown) - len(heard)} "
        f"| {used:.1f} |",
        flush=True,
    )


def _share(seconds: list[float], share: float) -> str:
    if not seconds:
        return "–"
    return f"{1000 * sorted(seconds)[int((len(seconds) - 1) * share)]:.0f}"


async def _push(wechat: WeChat, seconds: float, rate: float, name: str) -> list[float]:
    """Sends follows at this rate; returns how long each push took."""
    began = time.monotonic()
    pushes = []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        pushes.append(asyncio.create_task(wechat.follow(f"o{name}-{number}")))
    return [told.seconds for told in await asyncio.gather(*pushes)]


async def _change(
    port: int, wechat: WeChat, url: str, code: str, openid: str, *, waits: bool
) -> float | None:
    """Seconds from a follower's code to the new word on the page; None if it never comes."""
    page = asyncio.create_task(_until_it_changes(port, url, waits=waits))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await wechat.text(openid, code)
    try:
        async with asyncio.timeout(20):
            await page
    except TimeoutError:
        return None
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def _open(port: int, pages: list[tuple[str, str]], *, waits: bool) -> AsyncIterator[None]:
    """Keeps pages open that wait or poll, each on its own connection."""
    tasks = []
    for url, _code in pages:
        tasks.append(asyncio.create_task(_until_it_changes(port, url, waits=waits)))
        await asyncio.sleep(_ASKS_EVERY / len(pages))
    try:
        await asyncio.sleep(2)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_it_changes(port: int, url: str, *, waits: bool) -> None:
    prefer = "Prefer: wait\r\n" if waits else ""
    ask = (
        f'GET {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-None-Match: "ready"\r\n{prefer}\r\n'
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            began = time.monotonic()
            writer.write(ask)
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split(b" ", 2)[1]
            if status == b"200":
                return
            if status != b"304":
                raise RuntimeError(head.decode())
            if time.monotonic() - began < _ASKS_EVERY:
                await asyncio.sleep(_ASKS_EVERY)
    finally:
        writer.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Measures pushes while strangers hold connections, and while another account's handlers are slow.

    python -m benchmarks.strangers [--seconds 10] [--rate 100] [--doors bare,nginx]

Each push has a connection of its own, as WeChat's may have, and must be answered in 5 seconds.
Prints Markdown. The database is DATABASE_URL's server, or SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from wechat_site.tests.serving.behind_nginx import behind_nginx
from wechat_site.tests.serving.wechat_timing import TOKEN, Told, WeChat
from wechat_site.tests.site import Site, site_of_its_own

__all__ = ["main"]

IDLE, SLOW = 2000, 500
ASKERS, HANDLER_SECONDS = 40, 20
# Follows a second of the first account, while those followers ask the other account.
FOLLOWS_PER_SECOND = 20
HANDLER = f"""
import time
from events.extend import TextReply, reply_handler

@reply_handler("text", override=True)
def answer(event):
    time.sleep({HANDLER_SECONDS})
    return TextReply("done")
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strangers")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--rate", type=float, default=100, help="pushes a second")
    parser.add_argument("--doors", default="bare,nginx")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("| door | meanwhile | pushes | p50 ms | p99 ms | longest ms | not answered at once |")
    print("|---|---|---|---|---|---|---|")
    for door in options.doors.split(","):
        with _site(door) as site:
            asyncio.run(_measure_all(door, site, options))
    return 0


@contextlib.contextmanager
def _site(door: str) -> Iterator[Site]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        app = folder / "slow_answers"
        app.mkdir()
        (app / "__init__.py").touch()
        (app / "wechat.py").write_text(HANDLER)
        environment = {"EXTRA_APPS": app.name, "PYTHONPATH": str(folder)}
        site = stack.enter_context(site_of_its_own(folder, **environment))
        if door == "bare":
            site.start_web()
        else:
            stack.enter_context(behind_nginx(site))
        yield site


async def _measure_all(door: str, site: Site, options: argparse.Namespace) -> None:
    pushed, asked = (_wechat(site, slug) for slug in ("pushed", "asked"))
    stored = len(await _push(pushed, 1, 50))
    stored += await _measure(door, "nothing", pushed, options.seconds, options.rate)
    async with _lines(site.port, IDLE, b""), _slow_bodies(site.port):
        what = f"{IDLE:,} idle lines, {SLOW} slow bodies"
        stored += await _measure(door, what, pushed, options.seconds, options.rate)
    stored += await _measure(door, "nothing", pushed, options.seconds, options.rate)
    asking = [asyncio.ensure_future(asked.text(f"asker{n}", "?")) for n in range(ASKERS)]
    await asyncio.sleep(0.5)
    what = f"{ASKERS} askers of {HANDLER_SECONDS} s at another account"
    stored += await _measure(door, what, pushed, options.seconds, FOLLOWS_PER_SECOND)
    told = await asyncio.gather(*asking)
    refused = sum(503 in one.statuses for one in told)
    lost = stored + ASKERS - len(site.rows())
    print(f"| {door} | {refused} askers got 503, {lost} pushes are not stored | | | | | |")


def _wechat(site: Site, slug: str) -> WeChat:
    output = site.manage(
        *("add_account", slug, "--original-id", f"gh_{slug}", "--mode", "plaintext"),
        *("--app-id", "wx" + slug.encode().hex().ljust(16, "0")[:16], "--token", TOKEN),
        *("--site-url", "http://site"),
    )
    path = output.splitlines()[-1].removeprefix("http://site")
    return WeChat(site.port, path, f"gh_{slug}", seconds=5)


async def _measure(door: str, what: str, wechat: WeChat, seconds: float, rate: float) -> int:
    """Measures pushes and prints a line; returns how many pushes it sent."""
    told = await _push(wechat, seconds, rate)
    milliseconds = sorted(1000 * one.seconds for one in told)
    failures = Counter(str(one.statuses) for one in told if one.statuses != [200])
    print(
        f"| {door} | {what} | {len(told)} | {milliseconds[len(told) // 2]:.0f} "
        f"| {milliseconds[int(len(told) * 0.99)]:.0f} | {milliseconds[-1]:.0f} "
        f"| {dict(failures) or 0} |",
        flush=True,
    )
    return len(told)


async def _push(wechat: WeChat, seconds: float, rate: float) -> list[Told]:
    began = time.monotonic()
    pushes: list[asyncio.Task[Told]] = []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        pushes.append(asyncio.create_task(wechat.follow(f"o{began}-{number}")))
    return await asyncio.gather(*pushes)


@contextlib.asynccontextmanager
async def _lines(port: int, number: int, beginning: bytes) -> AsyncIterator[None]:
    writers = []
    for _ in range(number):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


@contextlib.asynccontextmanager
async def _slow_bodies(port: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for path in ("/wechat/anything/", "/admin/login/"):
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
            beginning = head.encode() + b"x"
            await stack.enter_async_context(_lines(port, SLOW // 2, beginning))
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

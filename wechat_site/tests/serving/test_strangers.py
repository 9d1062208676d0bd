"""Idle lines, slow bodies and wrong passwords of strangers, while WeChat pushes.

With nothing before the site, and with nginx as docs/deployment/nginx.conf has it.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from wechat_site.tests.serving.behind_nginx import behind_nginx
from wechat_site.tests.serving.wechat_timing import TOKEN, WeChat
from wechat_site.tests.site import Site

pytestmark = pytest.mark.slow

IDLE, SLOW = 2000, 500
SIGN_INS = 600


@pytest.fixture(params=["bare", "nginx"])
def door(request: Any, site: Site) -> Iterator[Site]:
    """The site, reached at its `port` by itself or through nginx."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * (IDLE + SLOW):
        pytest.skip(f"{most} open files are too few for so many lines")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if request.param == "bare":
        site.start_web()
        yield site
        return
    with behind_nginx(site):
        yield site


@pytest.fixture
def wechat(door: Site) -> WeChat:
    output = door.manage(
        *("add_account", "plain", "--original-id", "gh_plain", "--mode", "plaintext"),
        *("--app-id", "wx0000000000000001", "--token", TOKEN, "--site-url", "http://site"),
    )
    path = output.splitlines()[-1].removeprefix("http://site")
    return WeChat(door.port, path, "gh_plain", seconds=5)


async def lines(port: int, number: int, beginning: bytes) -> list[asyncio.StreamWriter]:
    async def line() -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        return writer

    opened: list[asyncio.StreamWriter] = []
    for begin in range(0, number, 100):
        opened += await asyncio.gather(*(line() for _ in range(begin, min(begin + 100, number))))
    return opened


async def pushes(wechat: WeChat, number: int = 40) -> Counter[tuple[int | str, ...]]:
    async def push(number: int) -> tuple[int | str, ...]:
        await asyncio.sleep(number / 20)
        return tuple((await wechat.follow(f"follower{number}")).statuses)

    return Counter(await asyncio.gather(*(push(number) for number in range(number))))


def acknowledged(pushes: Counter[tuple[int | str, ...]]) -> int:
    """How many pushes were acknowledged by the last of WeChat's tries."""
    return sum(number for statuses, number in pushes.items() if statuses[-1] == 200)


def head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def test_strangers_lines_stop_no_push(door: Site, wechat: WeChat):
    async def besiege() -> Counter[tuple[int | str, ...]]:
        opened = [
            *await lines(door.port, IDLE, b""),
            *await lines(door.port, SLOW // 2, head("/wechat/anything/", 1000) + b"x"),
            *await lines(door.port, SLOW // 2, head("/admin/login/", 1000) + b"x"),
        ]
        statuses = await pushes(wechat)
        for writer in opened:
            writer.close()
        return statuses

    assert acknowledged(asyncio.run(besiege())) == 40


def test_wrong_passwords_and_large_bodies_stop_no_push(door: Site, wechat: WeChat):
    form = urlencode({"login": "operator", "password": "wrong"}).encode()

    async def ask(request: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(request)
        try:
            status = await reader.readline()
        except ConnectionError:
            return 413  # it was closed while we wrote
        finally:
            writer.close()
        return int(status.split()[1]) if status else 413

    async def besiege() -> tuple[Counter[tuple[int | str, ...]], Counter[int]]:
        sign_in = head("/account/login/", len(form)) + form
        upload = head("/account/login/", 10**8) + b"x" * 10**5
        asked = asyncio.gather(
            *(ask(sign_in) for _ in range(SIGN_INS)), *(ask(upload) for _ in range(50))
        )
        statuses = await pushes(wechat)
        return statuses, Counter(await asked)

    statuses, refused = asyncio.run(besiege())
    assert acknowledged(statuses) == 40
    assert refused[413] == 50
    # 429 to those who come while 50 wait, if they come so fast.
    assert refused.keys() <= {403, 413, 429}


def test_a_body_that_breaks_off_is_refused_without_a_row(door: Site, wechat: WeChat):
    async def break_off() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        request = wechat.request(b"<xml>")
        writer.write(request.replace(b"Content-Length: 5", b"Content-Length: 500"))
        writer.write_eof()
        status = await reader.readline()
        writer.close()
        return status

    # nginx says nothing to one who has hung up
    assert asyncio.run(break_off()).split()[1:2] in ([b"400"], [])
    assert door.rows() == []

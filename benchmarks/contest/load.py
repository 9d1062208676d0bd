"""Makes the load: signed pushes that are prepared first, and that Debian's wrk posts.

The mixture is a shop's: 55 % menu taps, 25 % texts, 10 % follows, 5 % unfollows, 5 % scans, from
20,000 followers; 2 % come a second time with another signature, as WeChat sends them. Contestants
that can reply answer about one in ten with a text.

wrk drives every connection in a thread of its own (load.lua), so each answer belongs to a known
push: "acknowledged" is a set of pushes, not only a number. Runs share no push, and a run that takes
more pushes than were prepared does not count.

load.lua measures the latency of each push. Without a rate, the next push waits for the answer to
the last one, so these latencies are those of a full queue. With a rate, each connection has a
schedule, and a push that waits for the answer before it counts from the moment it was due, as in
wrk2. So a stall is not left out (coordinated omission). Timers are exact to a millisecond.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeAlias
from urllib.parse import urlencode

from events.simulator.pushes import Push, event_push, message_push
from events.wechat import Credentials, SecurityMode
from events.wechat.sender import seal_push

__all__ = [
    "APP_ID",
    "CLICK_KEY",
    "CREDENTIALS",
    "HOST",
    "ORIGINAL_ID",
    "TEXT",
    "Identity",
    "Pusher",
    "RanOut",
    "Run",
    "find_wrk",
    "followers",
]

HOST = "wechat.example.com"
ORIGINAL_ID = "gh_5f2c81d0a7be"
APP_ID = "wx3a9f0c27d81be645"
CREDENTIALS = Credentials(
    app_id=APP_ID,
    mode=SecurityMode.SAFE,
    tokens=("Rk7mWechatTok2026",),
    aes_keys=("mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD",),
)

# The menu key and the text to which contestants reply with a text.
CLICK_KEY = "MENU_CONTACT"
TEXT = "营业时间"

_FOLLOWERS = 20_000
_REPEATED = 0.02
# A repeated push comes within so many pushes: at once on another connection, or a moment later.
_FURTHEST_BEHIND = 64
# An entry of the index: number, whether it asks for a reply, offset and length of the request.
_PLACE = struct.Struct("=IIII")

_CLICK_KEYS = ("MENU_MY_ORDERS", "MENU_COUPONS", "MENU_MEMBER_CODE")
_URLS = ("https://www.example.com/shop?from=menu&v=2", "https://www.example.com/stores")
_TEXTS = ("你好", "优惠", "人工客服", "请问今天还能发货吗？", "谢谢 😀🎉", "Where is my order?")
_SCENES = ("metro-2026", "cashier", "parcel", "flyer")
_TICKET = "gQH47zwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAyWmF3cHRzQTRhYV8xMDAwMGcwN3IAAg"

Identity: TypeAlias = tuple[str, int]
"""OpenID and CreateTime. No follower does two things within a second, so they name a push."""


@dataclass(slots=True)
class Run:
    """The results of one contestant in one run.

    `seconds` is wrk's time. `acknowledged` counts the deliveries of each push that were answered
    with 200 and an acknowledgement or a reply, `issued` all deliveries that were begun. `answers`
    counts all other answers, by status and beginning of the body. `unreplied` counts acknowledged
    deliveries that asked for a reply and got none. `latencies` are in seconds, ascending.
    `web_cpu` and `database_cpu` are in seconds.
    """

    seconds: float
    acknowledged: Counter[Identity]
    issued: Counter[Identity]
    answers: Counter[str]
    unreplied: int
    latencies: list[float] = field(repr=False)
    web_cpu: float = 0.0
    database_cpu: float = 0.0

    @property
    def count(self) -> int:
        """The number of acknowledged deliveries."""
        return self.acknowledged.total()

    @property
    def rate(self) -> float:
        """Acknowledged deliveries a second."""
        return self.count / self.seconds

    def latency(self, share: float) -> float:
        """The latency in milliseconds that this share of the deliveries did not exceed."""
        if not self.latencies:
            return float("nan")
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def find_wrk() -> str:
    """The path of wrk; raises FileNotFoundError with what to do."""
    path = shutil.which("wrk")
    if path is None:
        raise FileNotFoundError("wrk makes the load and is missing (Debian: apt-get install wrk).")
    return path


def followers() -> list[str]:
    """The OpenIDs of all followers, the same in every run."""
    random = Random("followers")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    return ["oT3xk5" + "".join(random.choices(letters, k=22)) for _ in range(_FOLLOWERS)]


class RanOut(RuntimeError):
    """The contestant took more pushes than were prepared."""


class Pusher:
    """WeChat's side of all runs. Over all runs, each pair of follower and second is used once."""

    def __init__(self) -> None:
        self._next_second = 0

    def run(
        self,
        *,
        port: int,
        path: str,
        mode: SecurityMode,
        seconds: int,
        connections: int,
        most: float,
        rate: float | None = None,
        seed: str,
    ) -> Run:
        """Pushes to a contestant on this machine for some seconds.

        `most` is how many deliveries a second are prepared, `rate` limits the load to so many a
        second. The same seed gives the same mixture. Raises RanOut, or RuntimeError if wrk failed.
        """
        count = int(most * seconds)
        oldest = max(self._next_second, int(time.time()) - count // _FOLLOWERS)
        self._next_second = oldest + count // _FOLLOWERS + 1
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            identities = _write_requests(
                folder, _Mixture(seed, oldest), path=path, mode=mode, count=count, seed=seed
            )
            with (folder / "index").open("rb") as index:
                result = subprocess.run(
                    [
                        *(find_wrk(), "--script", str(Path(__file__).with_name("load.lua"))),
                        *("--threads", str(connections), "--connections", str(connections)),
                        *("--duration", f"{seconds}s", "--timeout", "20s"),
                        *(f"http://127.0.0.1:{port}", "--"),
                        *(name, str(index.fileno()), str(connections), str(rate or 0)),
                    ],
                    pass_fds=[index.fileno()],
                    capture_output=True,
                    text=True,
                    check=False,
                )
            report = folder / "report"
            if result.returncode or not report.exists():
                raise RuntimeError(f"wrk failed: {result.stdout}{result.stderr}")
            return _read_report(report.read_text(encoding="utf-8", errors="replace"), identities)


# --- Making the pushes ---------------------------------------------------------------------------


class _Mixture:
    """Makes pushes one by one: of all followers in the second `oldest`, then in the next second."""

    def __init__(self, seed: str, oldest: int) -> None:
        self._random = Random(seed)
        self._oldest = oldest
        self._people = followers()
        self._random.shuffle(self._people)
        self._made = 0
        self._msg_id = self._random.randrange(10**16, 10**18)

    def next(self) -> tuple[Push, bool]:
        """A push, and whether it asks for a reply."""
        second, person = divmod(self._made, len(self._people))
        self._made += 1
        who, at = self._people[person], self._oldest + second
        draw = self._random.random()
        if draw < 0.07:
            return event_push(ORIGINAL_ID, who, at, "CLICK", CLICK_KEY), True
        if draw < 0.30:
            key = self._random.choice(_CLICK_KEYS)
            return event_push(ORIGINAL_ID, who, at, "CLICK", key), False
        if draw < 0.55:
            url = self._random.choice(_URLS)
            return event_push(ORIGINAL_ID, who, at, "VIEW", url, {"MenuId": 428796990}), False
        if draw < 0.80:
            self._msg_id += self._random.randrange(1, 1000)
            text = TEXT if draw < 0.58 else self._random.choice(_TEXTS)
            push = message_push(ORIGINAL_ID, who, at, "text", self._msg_id, {"Content": text})
            return push, text == TEXT
        if draw < 0.85:
            return event_push(ORIGINAL_ID, who, at, "subscribe"), False
        ticket = {"Ticket": _TICKET}
        scene = self._random.choice(_SCENES)
        if draw < 0.90:
            return event_push(ORIGINAL_ID, who, at, "subscribe", f"qrscene_{scene}", ticket), False
        if draw < 0.95:
            return event_push(ORIGINAL_ID, who, at, "SCAN", scene, ticket), False
        return event_push(ORIGINAL_ID, who, at, "unsubscribe"), False


def _write_requests(
    folder: Path, mixture: _Mixture, *, path: str, mode: SecurityMode, count: int, seed: str
) -> list[Identity]:
    """Writes the requests and their index; returns for each request, in order, its push."""
    random = Random(f"delivery {seed}")
    identities: list[Identity] = []
    again: dict[int, tuple[Push, bool]] = {}
    offset = 0
    with (folder / "requests").open("wb") as requests, (folder / "index").open("wb") as index:
        for number in range(count):
            push, asks = again.pop(number) if number in again else mixture.next()
            if random.random() < _REPEATED:
                again[number + random.randint(1, _FURTHEST_BEHIND)] = push, asks
            request = _request(push, path=path, mode=mode, random=random)
            requests.write(request)
            index.write(_PLACE.pack(number, asks, offset, len(request)))
            offset += len(request)
            identities.append((push.openid, push.create_time))
    return identities


def _request(push: Push, *, path: str, mode: SecurityMode, random: Random) -> bytes:
    query, body = seal_push(
        push.body,
        credentials=CREDENTIALS,
        mode=mode,
        timestamp=int(time.time()),
        nonce=str(random.randrange(10**10)),
        random=random.randbytes(16),
        openid=push.openid,
    )
    head = (
        f"POST {path}?{urlencode(query)} HTTP/1.1\r\n"
        f"Host: {HOST}\r\n"
        "User-Agent: Mozilla/4.0\r\n"
        "Accept: */*\r\n"
        "Content-Type: text/xml\r\n"
        "Pragma: no-cache\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# --- Reading what wrk's script reports -----------------------------------------------------------


def _read_report(report: str, identities: list[Identity]) -> Run:
    """Reads lines of a word and values, as load.lua's done() writes them."""
    run = Run(0.0, Counter(), Counter(), Counter(), 0, [])
    for line in report.splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "microseconds":
                run.seconds = int(rest) / 1_000_000
            case "issued":
                run.issued.update(identities[int(number)] for number in rest.split())
            case "acknowledged":
                run.acknowledged.update(identities[int(number)] for number in rest.split())
            case "latencies":
                run.latencies.extend(float(value) for value in rest.split())
            case "unreplied":
                run.unreplied += int(rest)
            case "answer":
                times, _, answer = rest.partition(" ")
                run.answers[answer] += int(times)
            case "exhausted":
                raise RanOut
    run.latencies.sort()
    return run

"""The fake API itself: accounts, tokens, limits, and the faults that a test makes."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from .apis import APIS, ApiCall
from .call_answers import Refusal
from .fake_account import FakeAccount, KeptMedia
from .followers import Followers, ListedFollowers

__all__ = ["ORDINARY_LATENCY", "Answer", "FakeWeChatAPI", "Fault", "Request"]

# The shortest and longest usual time of a call within China, in seconds.
ORDINARY_LATENCY = (0.03, 0.12)

_TOKEN = "/cgi-bin/token"
_STABLE_TOKEN = "/cgi-bin/stable_token"
_SHOW = "/cgi-bin/showqrcode"

_MEDIA_TYPES = {"image": "image/jpeg", "voice": "audio/amr", "video": "video/mp4"}
# Characters. WeChat answers 40014 for a shorter token.
_SHORTEST_TOKEN = 32
_KEPT_RIDS = 1000

_JSON = "application/json; encoding=utf-8"

# Every code has this picture: a grey JPEG of one pixel.
_PICTURE: Final = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////"
    "////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAA"
    "AAAAAAAAAAD/2gAIAQEAAD8AP//Z"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `address` is the caller's IP address."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to send after `delay` seconds; with `reset` the connection is cut instead."""

    status: int = 200
    content_type: str = _JSON
    body: bytes = b""
    delay: float = 0
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: an `errcode`, another `status`, a `body` that is no JSON, or a cut connection.

    A fault without these only delays: the call is served, and answered `delay` seconds later. It
    happens `times` times; None means always.
    """

    errcode: int | None = None
    errmsg: str = ""
    status: int | None = None
    body: bytes | None = None
    reset: bool = False
    delay: float = 0
    times: int | None = 1


class FakeWeChatAPI:
    """api.weixin.qq.com and mp.weixin.qq.com as an account's server sees them, in memory.

    The same `random` and the same calls give the same tokens, tickets and faults. `now` returns
    Unix seconds. `latency` is the shortest and longest time of an answer in seconds. `failure_rate`
    is the share of calls that get a busy system, a status 500 or a cut connection.
    """

    def __init__(
        self,
        *,
        random: Random,
        now: Callable[[], float] = time.time,
        latency: tuple[float, float] = (0, 0),
        failure_rate: float = 0,
    ) -> None:
        self.latency = latency
        self.failure_rate = failure_rate
        self.content_type = _JSON
        self._random = random
        self._now = now
        self._lock = threading.RLock()
        self._accounts: dict[str, FakeAccount] = {}
        self._faults: dict[str, list[Fault]] = {}
        self._calls: Counter[str] = Counter()

    def add_account(
        self,
        app_id: str,
        app_secret: str,
        *,
        followers: Followers | None = None,
        token_lifetime: int = 7200,
        token_overlap: int = 300,
    ) -> FakeAccount:
        """Adds an account. Token times are in seconds."""
        with self._lock:
            account = self._accounts[app_id] = FakeAccount(
                app_id,
                app_secret,
                followers=followers or ListedFollowers(),
                random=self._random,
                lock=self._lock,
                now=self._now,
                token_lifetime=token_lifetime,
                token_overlap=token_overlap,
            )
            return account

    def account(self, app_id: str) -> FakeAccount:
        """Returns an account; raises KeyError if it is unknown."""
        return self._accounts[app_id]

    @property
    def calls(self) -> dict[str, int]:
        """How often each path was called, with or without success."""
        with self._lock:
            return dict(self._calls)

    def scene_of(self, ticket: str) -> str | None:
        """Returns the scene of a code of any account; None if it is unknown or has expired."""
        with self._lock:
            scenes = (account.scene_of(ticket) for account in self._accounts.values())
            return next((scene for scene in scenes if scene is not None), None)

    def make_trouble(self, path: str, fault: Fault) -> None:
        """Gives the next calls of this path, or of any with "*", the fault; faults queue up."""
        with self._lock:
            self._faults.setdefault(path, []).append(fault)

    def end_trouble(self) -> None:
        """Removes all faults that have not happened yet, and the failure rate."""
        with self._lock:
            self._faults.clear()
            self.failure_rate = 0

    def handle(self, request: Request) -> Answer:
        """Serves one call. The server does the waiting and the cutting."""
        with self._lock:
            self._calls[request.path] += 1
            delay = self._random.uniform(*self.latency)
            fault = self._next_fault(request.path)
            delay += fault.delay
            if fault.reset:
                return Answer(reset=True, delay=delay)
            if fault.status is not None:
                return Answer(fault.status, "text/html", fault.body or b"<html></html>", delay)
            if fault.body is not None:
                return Answer(200, self.content_type, fault.body, delay)
            if fault.errcode is not None:
                refusal = Refusal(fault.errcode, ip=request.address)
                return self._refused(request, fault.errcode, fault.errmsg or refusal.errmsg, delay)
            if request.path == _SHOW:
                return replace(self._show(request), delay=delay)
            try:
                fields = self._serve(request)
            except Refusal as refusal:
                return self._refused(request, refusal.errcode, refusal.errmsg, delay)
            if isinstance(file := fields.get("file"), KeptMedia):
                return Answer(200, _MEDIA_TYPES[file.kind], file.data, delay)
            return self._json(fields, delay)

    def _next_fault(self, path: str) -> Fault:
        for key in (path, "*"):
            queue = self._faults.get(key)
            if not queue:
                continue
            fault = queue.pop(0)
            left = None if fault.times is None else fault.times - 1
            if left != 0:
                queue.insert(0, replace(fault, times=left))
            return fault
        if self.failure_rate and self._random.random() < self.failure_rate:
            return self._random.choice([Fault(errcode=-1), Fault(status=500), Fault(reset=True)])
        return Fault()

    def _serve(self, request: Request) -> Mapping[str, Any]:
        if request.path in {_TOKEN, _STABLE_TOKEN}:
            return self._issue_token(request)
        api = APIS.get(request.path)
        if api is None:
            raise Refusal(40035)
        if request.method != api.method:
            raise Refusal(43001 if api.method == "GET" else 43002)
        now = self._now()
        account = self._account_of(request.query.get("access_token", ""), now)
        account.quotas.count(request.path, now)
        if api.needs_certification and not account.is_certified:
            raise Refusal(48001)
        is_json = api.method == "POST" and not api.takes_file
        body = _parsed(request.body) if is_json else {}
        return api.answer(account, ApiCall(request.query, body, now, request.body))

    def _account_of(self, token: str, now: float) -> FakeAccount:
        if not token:
            raise Refusal(41001)
        for account in self._accounts.values():
            if account.tokens.has_issued(token):
                account.tokens.check(token, now)
                return account
        raise Refusal(40001 if len(token) >= _SHORTEST_TOKEN else 40014)

    def _issue_token(self, request: Request) -> Mapping[str, Any]:
        is_stable = request.path == _STABLE_TOKEN
        if is_stable and request.method != "POST":
            raise Refusal(43002)
        asked = _parsed(request.body) if is_stable else request.query
        if asked.get("grant_type") != "client_credential":
            raise Refusal(40002)
        for name, errcode in (("appid", 41002), ("secret", 41004)):
            if not asked.get(name):
                raise Refusal(errcode)
        account = self._accounts.get(str(asked["appid"]))
        if account is None:
            raise Refusal(40013)
        if asked["secret"] != account.app_secret:
            raise Refusal(40125)
        if account.refuses_tokens:
            raise Refusal(account.refuses_tokens, ip=request.address)
        allowed = account.allowed_addresses
        if allowed is not None and request.address not in allowed:
            raise Refusal(40164, ip=request.address)
        now = self._now()
        account.quotas.count(request.path, now)
        if is_stable:
            token, expires_in = account.tokens.stable(now, force=asked.get("force_refresh") is True)
        else:
            token, expires_in = account.tokens.issue(now)
        return {"access_token": token, "expires_in": expires_in}

    def _show(self, request: Request) -> Answer:
        if self.scene_of(request.query.get("ticket", "")) is None:
            return Answer(404, "text/html", b"<html></html>")
        return Answer(200, "image/jpg", _PICTURE)

    def _refused(self, request: Request, errcode: int, errmsg: str, delay: float) -> Answer:
        now = int(self._now())
        parts = (now, self._random.getrandbits(32), self._random.getrandbits(32))
        rid = "-".join(f"{part:08x}" for part in parts)
        answer = self._json({"errcode": errcode, "errmsg": f"{errmsg} rid: {rid}"}, delay)
        token = request.query.get("access_token", "")
        for account in self._accounts.values():
            if token and account.tokens.has_issued(token):
                calls = account.calls_by_rid
                if len(calls) >= _KEPT_RIDS:
                    calls.pop(next(iter(calls)))
                calls[rid] = {
                    "invoke_time": now,
                    "cost_in_ms": 30,
                    "request_url": f"access_token={token}",
                    "request_body": request.body.decode(errors="replace"),
                    "response_body": answer.body.decode(),
                    "client_ip": request.address,
                }
        return answer

    def _json(self, fields: Mapping[str, Any], delay: float) -> Answer:
        body = json.dumps(fields, ensure_ascii=False).encode()
        return Answer(200, self.content_type, body, delay)


def _parsed(body: bytes) -> Mapping[str, Any]:
    if not body:
        raise Refusal(44002)
    try:
        text = body.decode()
        # WeChat has shown a JSON escape such as \\u4e2d to followers as these six characters.
        text = re.sub(r"(?<!\\)\\u(?!00[0-7])", r"\\\\u", text)
        fields = json.loads(text)
    except ValueError:
        raise Refusal(47001) from None
    if not isinstance(fields, dict):
        raise Refusal(47001)
    return fields

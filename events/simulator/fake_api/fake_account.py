"""One account at the fake API: its data there, and what callers did with it."""

from __future__ import annotations

import copy
import datetime
import string
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from events.simulator.pushes import Push
from events.simulator.repertoire import Code, Letter, Poster

from .daily_quotas import Quotas
from .follow_days import FollowDays
from .followers import Followers
from .sent_files import files_of
from .token_lines import TokenLines
from .windows import Windows

__all__ = ["MEDIA_SECONDS", "FakeAccount", "Issued", "Sent"]

_TICKET_LETTERS = string.ascii_letters + string.digits + "+/"
_TOKEN_LETTERS = string.ascii_letters + string.digits + "_-"
_KEPT_CODES = 20_000
# Seconds that WeChat keeps a file.
MEDIA_SECONDS = 3 * 24 * 3600
# Seconds. A QR code with a shorter life is for one person, such as a binding code.
_SHOWN_TO_ONE = 3600


@dataclass(frozen=True, slots=True)
class Issued:
    """A QR code. Times are in Unix seconds; `expires_at` is None for a permanent one."""

    scene: str
    ticket: str
    url: str
    made_at: float
    expires_at: float | None

    @property
    def is_for_one(self) -> bool:
        """Whether it is for one person, such as a binding code."""
        return self.expires_at is not None and self.expires_at - self.made_at <= _SHOWN_TO_ONE


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted customer-service message; `body` is the whole request."""

    openid: str
    at: float
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeptMedia:
    """A file with its kind; WeChat keeps it `until` this time in Unix seconds."""

    kind: str
    data: bytes
    until: float


class FakeAccount:
    """One account; `FakeWeChatAPI.add_account` makes it. Its methods are safe in any thread.

    If `is_certified` is false, only token, menu and diagnostics work (uncertified 服务号).
    `refuses_tokens` is the errcode for calls that fetch a token, 0 for none. `allowed_addresses` is
    the IP list (IP白名单), None for all. `page_size` is the number of OpenIDs in a page. `menu` is
    the menu that was made through the API, `console_menu` the console's, in the form of
    get_current_selfmenu_info. `conditional_menus` are menus for some followers (个性化菜单), in the
    form of menu/get. `auto_replies` has the form of get_current_autoreply_info.
    """

    def __init__(
        self,
        app_id: str,
        app_secret: str,
        *,
        followers: Followers,
        random: Random,
        lock: threading.RLock,
        now: Callable[[], float],
        token_lifetime: int = 7200,
        token_overlap: int = 300,
    ) -> None:
        self.app_id = app_id
        self.app_secret = app_secret
        self.followers = followers
        self.is_certified = True
        self.refuses_tokens = 0
        self.allowed_addresses: frozenset[str] | None = None
        self.page_size = 10_000
        self.menu: dict[str, Any] | None = None
        self.console_menu: dict[str, Any] | None = None
        self.auto_replies: dict[str, Any] | None = None
        self.conditional_menus: list[dict[str, Any]] = []
        self.tags: dict[int, str] = {2: "星标组"}
        self.tagged: dict[int, set[str]] = {}
        self.js_tickets_made = 0
        self.remarks: dict[str, str] = {}
        self.media: dict[str, KeptMedia] = {}
        self.quotas = Quotas()
        # WeChat's record of each refused call by its rid; at most 1,000.
        self.calls_by_rid: dict[str, dict[str, Any]] = {}
        self.tokens = TokenLines(
            make=lambda: self._letters(_TOKEN_LETTERS, 136),
            lifetime=token_lifetime,
            overlap=token_overlap,
        )
        self._random = random
        self._lock = lock
        self._now = now
        self._codes: dict[str, Issued] = {}
        self._unscanned: deque[Issued] = deque(maxlen=100)
        self._sent: deque[Sent] = deque(maxlen=10_000)
        self._unanswered: deque[Sent] = deque(maxlen=100)
        self._windows = Windows()
        self._days = FollowDays()

    # --- For the simulator and tests ---

    @property
    def sent(self) -> list[Sent]:
        """The accepted customer-service messages, oldest first, at most 10,000."""
        with self._lock:
            return list(self._sent)

    @property
    def codes(self) -> list[Issued]:
        """The QR codes that are kept, oldest first."""
        with self._lock:
            return list(self._codes.values())

    def scene_of(self, ticket: str) -> str | None:
        """Returns the scene that a scan of this code carries; None if unknown or expired."""
        with self._lock:
            code = self._codes.get(ticket)
            return code.scene if code and self._is_valid(code) else None

    def next_code(self, *, min_age: float = 0) -> Code | None:
        """Returns the next code for one person that no call has returned yet; None if none.

        It is at least `min_age` seconds old, because a person first takes out a phone.
        """
        with self._lock:
            latest = self._now() - min_age
            while self._unscanned and self._unscanned[0].made_at <= latest:
                code = self._unscanned.popleft()
                if self._is_valid(code):
                    return Code(code.scene, ticket=code.ticket, made_at=int(code.made_at))
            return None

    def next_letter(self, *, min_age: float = 0) -> Letter | None:
        """Returns the next message that no call has returned yet; None if there is none.

        It is at least `min_age` seconds old, because a person first reads it.
        """
        with self._lock:
            if not self._unanswered or self._unanswered[0].at > self._now() - min_age:
                return None
            sent = self._unanswered.popleft()
            choices = sent.body.get("msgmenu", {}).get("list", [])
            return Letter(
                sent.openid, tuple((str(choice["id"]), choice["content"]) for choice in choices)
            )

    def posters(self) -> list[Poster]:
        """Returns the valid codes that are not for one person, all with the same weight."""
        with self._lock:
            return [
                Poster(code.scene, code.ticket)
                for code in self._codes.values()
                if not code.is_for_one and self._is_valid(code)
            ]

    def entries(self) -> list[Mapping[str, Any]]:
        """Returns the entries of the present menu that have an action."""
        with self._lock:
            shown = self.console_menu or self.menu or {"button": []}
            found: list[Mapping[str, Any]] = []
            for button in shown["button"]:
                below = button.get("sub_button")
                found += (below["list"] if isinstance(below, dict) else below) or [button]
            return found

    def hang(self, code: Issued) -> None:
        """Adds a QR code that is older than this fake API, or was made in WeChat's console."""
        with self._lock:
            self._keep(code)

    def note_push(self, push: Push) -> None:
        """Records a follower's act. Call it once for each push, not for each delivery.

        It opens and closes windows for customer-service messages, counts follows and unfollows for
        the statistics, and keeps the files of a message for three days.
        """
        with self._lock:
            for media_id, file in files_of(push).items():
                self.media[media_id] = KeptMedia(*file, push.create_time + MEDIA_SECONDS)
            self._windows.note(push)
            if push.kind in {"event.subscribe", "event.unsubscribe"}:
                person = self.followers.find(push.openid)
                self._days.note(push, person.follow_key if person else "")

    def expire_tokens(self, errcode: int = 42001) -> None:
        """Ends all tokens; calls with one get `errcode`."""
        with self._lock:
            self.tokens.end_all(self._now(), errcode)

    def exhaust_quota(self, path: str) -> None:
        """Uses up today's calls of one API: it answers 45009 until Beijing's midnight."""
        with self._lock:
            self.quotas.exhaust(path, self._now())

    # --- For the API's calls, which hold the lock ---

    def issue_code(self, scene: str, expire_seconds: int | None) -> Issued:
        """Makes a code; `expire_seconds` is None for a permanent one."""
        now = self._now()
        issued = Issued(
            scene,
            f"gQ{self._letters(_TICKET_LETTERS, 4)}AAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy"
            f"{self._letters(_TICKET_LETTERS, 32)}==",
            f"http://weixin.qq.com/q/02{self._letters(_TOKEN_LETTERS, 22)}",
            now,
            None if expire_seconds is None else now + expire_seconds,
        )
        self._keep(issued)
        return issued

    def issue_js_ticket(self) -> str:
        """Makes a ticket for pages (jsapi_ticket)."""
        self.js_tickets_made += 1
        return f"kgt8{self._letters(_TOKEN_LETTERS, 80)}"

    def count_permanent_codes(self) -> int:
        """Returns the number of permanent codes."""
        return sum(code.expires_at is None for code in self._codes.values())

    def has_window(self, openid: str) -> bool:
        """Whether this follower has an open window now, even one that is used up."""
        return self._windows.has(openid, self._now())

    def send(self, openid: str, body: Mapping[str, Any]) -> None:
        """Keeps a message. Raises `Refusal` if no window is open, or if all are used up.

        Windows do not add up: a message counts in all open windows.
        """
        now = self._now()
        self._windows.use(openid, now)
        sent = Sent(openid, now, copy.deepcopy(dict(body)))
        self._sent.append(sent)
        self._unanswered.append(sent)

    def keep_media(self, kind: str, data: bytes, until: float) -> str:
        """Keeps a file of an operator or a follower, and returns its media_id."""
        media_id = self._letters(_TOKEN_LETTERS, 64)
        self.media[media_id] = KeptMedia(kind, data, until)
        return media_id

    def tags_of(self, openid: str) -> list[int]:
        """The ids of a follower's tags."""
        return sorted(tag for tag, openids in self.tagged.items() if openid in openids)

    def summary(self, day: datetime.date) -> list[tuple[int, int, int]]:
        """Returns source, follows and unfollows of a day, for the sources that had any."""
        return self._days.summary(day)

    def cumulate(self, day: datetime.date) -> int:
        """Returns the number of followers at the end of a day, counted back from now."""
        return self.followers.total() - self._days.gained_since(day)

    def _keep(self, code: Issued) -> None:
        if len(self._codes) >= _KEPT_CODES:
            self._codes = {code.ticket: code for code in self.codes if self._is_valid(code)}
        self._codes[code.ticket] = code
        if code.is_for_one:
            self._unscanned.append(code)

    def _is_valid(self, code: Issued) -> bool:
        return code.expires_at is None or self._now() < code.expires_at

    def _letters(self, letters: str, length: int) -> str:
        return "".join(self._random.choices(letters, k=length))

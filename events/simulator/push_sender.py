"""Posts deliveries as WeChat's servers do, and counts the outcomes."""

from __future__ import annotations

import enum
import http.client
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode, urlsplit

from events.wechat import Credentials
from events.wechat.sender import seal_push

from .judge_answer import IllegalAnswer, check_answer
from .pushes import Push
from .traffic import Delivery

__all__ = ["DEADLINE", "TRIES", "PushSender", "Tally"]

logger = logging.getLogger(__name__)

# Seconds until the complete answer must be there, and how often WeChat tries a push (接收消息).
DEADLINE = 5.0
TRIES = 3

_HEADERS = {
    "User-Agent": "Mozilla/4.0",
    "Accept": "*/*",
    "Content-Type": "text/xml",
    "Pragma": "no-cache",
}
# Seconds. Servers close idle connections, and a request must not use one that is being closed.
_LONGEST_IDLE = 4.0


class _Outcome(enum.Enum):
    """The outcome of one try; the value is the name of its count in Tally."""

    ACKNOWLEDGED = "answered"
    REPLIED = "replied"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    MISMATCH = "mismatches"


@dataclass(slots=True)
class Tally:
    """The counts of deliveries and of their outcomes.

    `sent` counts deliveries, `events` the different pushes among them. `answered` counts
    acknowledged deliveries, including those with a reply (`replied`). `lost` counts deliveries that
    no try got acknowledged. The other fields count tries: `retried` those after the first,
    `refused` answers other than 200, `mismatches` answers with 200 that WeChat would refuse.
    """

    sent: int = 0
    events: int = 0
    answered: int = 0
    replied: int = 0
    retried: int = 0
    refused: int = 0
    timed_out: int = 0
    unreachable: int = 0
    mismatches: int = 0
    lost: int = 0

    def __str__(self) -> str:
        return ", ".join(
            f"{field.name.replace('_', ' ')} {getattr(self, field.name)}" for field in fields(self)
        )


class PushSender:
    """WeChat's servers, as far as one account's callback sees them.

    `callback_url` is the whole address. The sender signs with the first token and AES key of
    `credentials`; `original_id` is the account's `gh_…`. It calls `on_acknowledged` once for each
    push, at the first legal answer, one call at a time.
    """

    def __init__(
        self,
        callback_url: str,
        credentials: Credentials,
        *,
        original_id: str,
        on_acknowledged: Callable[[Push], None] | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        self._url = callback_url
        self._credentials = replace(
            credentials, tokens=credentials.tokens[:1], aes_keys=credentials.aes_keys[:1]
        )
        self._original_id = original_id
        self._on_acknowledged = on_acknowledged
        self._deadline = deadline
        self._lock = threading.Lock()
        self._tally = Tally()
        self._stop = threading.Event()

    @property
    def tally(self) -> Tally:
        """The counts up to now."""
        with self._lock:
            return replace(self._tally)

    def stop(self) -> None:
        """Makes `deliver` begin no more deliveries and tries; it returns soon after."""
        self._stop.set()

    def deliver(self, deliveries: Iterable[Delivery], *, concurrency: int = 1) -> None:
        """Posts all deliveries in this order, `concurrency` at a time, and waits for the end.

        Raises the error of the iterator `deliveries`.
        """
        queue = _Shared(deliveries)
        threads = [
            threading.Thread(target=self._work, args=(queue,), daemon=True)
            for _ in range(concurrency)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if queue.failure is not None:
            raise queue.failure

    def _work(self, queue: _Shared) -> None:
        connection = _Connection(self._url, self._deadline)
        for delivery in queue:
            if self._stop.is_set():
                break
            self._deliver(delivery, connection)
        connection.close()

    def _deliver(self, delivery: Delivery, connection: _Connection) -> None:
        push = delivery.push
        self._count("sent", *([] if delivery.is_duplicate else ["events"]))
        for number in range(TRIES):
            started = time.monotonic()
            if number:
                self._count("retried")
            outcome = self._try(push, connection)
            if outcome in {_Outcome.ACKNOWLEDGED, _Outcome.REPLIED}:
                self._count("answered", *(["replied"] if outcome is _Outcome.REPLIED else []))
                self._acknowledge(push)
                return
            self._count(outcome.value)
            # WeChat tries again when a deadline has passed, so tries begin a deadline apart. It
            # does not document the pause after a quicker failure; this sender waits as long.
            if self._stop.wait(max(0.0, started + self._deadline - time.monotonic())):
                return
        self._count("lost")
        logger.warning("Lost: %s of %s at %s", push.kind, push.openid, push.create_time)

    def _try(self, push: Push, connection: _Connection) -> _Outcome:
        query, body = seal_push(
            push.body,
            credentials=self._credentials,
            mode=self._credentials.mode,
            timestamp=int(time.time()),
            nonce=str(secrets.randbelow(10**10)),
            random=secrets.token_bytes(16),
            openid=push.openid,
        )
        try:
            status, answer = connection.post(query, body)
        except TimeoutError:
            return _Outcome.TIMED_OUT
        except (OSError, http.client.HTTPException) as error:
            logger.info("Unreachable: %r", error)
            return _Outcome.UNREACHABLE
        if status != 200:
            logger.warning("Answered %s to %s: %r", status, push.kind, answer[:80])
            return _Outcome.REFUSED
        try:
            is_reply = check_answer(
                answer, push, credentials=self._credentials, original_id=self._original_id
            )
        except IllegalAnswer as error:
            logger.warning("Illegal answer to %s: %s", push.kind, error)
            return _Outcome.MISMATCH
        return _Outcome.REPLIED if is_reply else _Outcome.ACKNOWLEDGED

    def _acknowledge(self, push: Push) -> None:
        with self._lock:
            if push.acknowledged:
                return
            push.acknowledged = True
            if self._on_acknowledged is not None:
                self._on_acknowledged(push)

    def _count(self, *names: str) -> None:
        with self._lock:
            for name in names:
                setattr(self._tally, name, getattr(self._tally, name) + 1)


class _Shared:
    """One iterator for many threads; if it fails, it ends for all of them."""

    def __init__(self, deliveries: Iterable[Delivery]) -> None:
        self._deliveries = iter(deliveries)
        self._lock = threading.Lock()
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[Delivery]:
        while True:
            with self._lock:
                if self.failure is not None:
                    return
                try:
                    delivery = next(self._deliveries)
                except StopIteration:
                    return
                except Exception as failure:
                    self.failure = failure
                    return
            yield delivery


class _Connection:
    """A connection that stays open between requests, for one thread."""

    def __init__(self, url: str, deadline: float) -> None:
        parts = urlsplit(url)
        self._make = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._host = parts.netloc
        self._path = parts.path
        self._deadline = deadline
        self._open: http.client.HTTPConnection | None = None
        self._last_used = 0.0

    def post(self, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body; raise TimeoutError if they are not complete in time.

        Raises OSError or HTTPException if there is no answer for another reason.
        """
        end = time.monotonic() + self._deadline
        if time.monotonic() - self._last_used > _LONGEST_IDLE:
            self.close()
        if self._open is None:
            self._open = self._make(self._host, timeout=self._deadline)
        try:
            answer = self._exchange(self._open, f"{self._path}?{urlencode(query)}", body, end)
        except BaseException:
            self.close()
            raise
        self._last_used = time.monotonic()
        return answer

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @staticmethod
    def _exchange(
        connection: http.client.HTTPConnection, target: str, body: bytes, end: float
    ) -> tuple[int, bytes]:
        def limit() -> None:
            # A socket's timeout limits one operation, but WeChat's deadline limits all of them.
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            if connection.sock is not None:
                connection.sock.settimeout(remaining)

        limit()
        connection.request("POST", target, body, _HEADERS)
        limit()
        response = connection.getresponse()
        pieces: list[bytes] = []
        while response.length != 0 and not response.isclosed():
            limit()
            # read() would read to the end as long as each piece comes in time.
            piece = response.read1()
            if not piece and response.length:
                raise http.client.IncompleteRead(b"".join(pieces), response.length)
            pieces.append(piece)
        response.close()
        limit()
        return response.status, b"".join(pieces)

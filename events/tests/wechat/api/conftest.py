"""The client on a real connection to the fake platform."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

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
from events.testing import MemoryTokens
from events.wechat.api import AppCredentials, Client, Timeouts, Wire

APP_ID = "wx3a9f0c27d81be645"
APP_SECRET = "5d41402abc4b2a76b9719d911017c592"
CREDENTIALS = AppCredentials(APP_ID, APP_SECRET)

ANNA = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4A"
BERT = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4B"
GONE = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4C"
STRANGER = "oOTHERQmZb7LwR2nVc9Ys0DfHj4X"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = time.time()

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock) -> FakeWeChatAPI:
    return FakeWeChatAPI(random=Random(20260101), now=clock)


@pytest.fixture
def account(fake) -> FakeAccount:
    people = [
        Follower(ANNA, is_following=True, followed_at=1_767_225_661, follow_key="qrscene_poster-1"),
        Follower(BERT, is_following=True, followed_at=1_767_225_700, follow_key="qrscene_100245"),
        Follower(GONE),
    ]
    made: FakeAccount = fake.add_account(APP_ID, APP_SECRET, followers=ListedFollowers(people))
    return made


@pytest.fixture
def server(fake) -> Iterator[FakeWeChatAPIServer]:
    with FakeWeChatAPIServer(fake) as running:
        yield running


@pytest.fixture
def wire(server) -> Iterator[Wire]:
    # Reading the certificates takes a tenth of a second, and nothing here is encrypted.
    plain = httpx.HTTPTransport(verify=False)
    made = Wire(
        api_base=server.url, mp_base=server.url, timeouts=Timeouts(60, 60, 60), transport=plain
    )
    yield made
    made.close()


@pytest.fixture
def tokens(wire, account, clock) -> MemoryTokens:
    return MemoryTokens(wire, CREDENTIALS, now=clock)


@pytest.fixture
def client(wire, tokens) -> Client:
    return Client(wire, tokens)


@pytest.fixture
def write(account, clock):
    """Somebody writes, taps or scans, which opens a window for customer-service messages."""

    def act(openid: str, kind: str = "text") -> None:
        msg_type, _, event = kind.partition(".")
        account.note_push(Push(openid, int(clock()), msg_type, event))

    return act

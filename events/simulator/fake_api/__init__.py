"""WeChat's API as a small server on this machine, for demonstrations and tests.

It answers in WeChat's words, keeps WeChat's limits, and can be told to be slow, to fail, to end
tokens, or to have no calls left.

1. `service.FakeWeChatAPI` serves calls, from any thread, without a network;
2. `account.FakeAccount` is what one account has there: menu, tags, codes, tokens, quotas, messages;
3. `followers` says who follows: a list, the simulator's population, or a million numbered people;
4. `people` lets the simulator's people act on what the account has there;
5. `server.FakeWeChatAPIServer` puts it on a port, with control for other processes.
"""

from __future__ import annotations

from .fake_account import FakeAccount, Issued, Sent
from .fake_people import acts_on, noted, offered
from .followers import Followers, ListedFollowers, NumberedFollowers, PopulationFollowers
from .server import FakeWeChatAPIServer
from .service import ORDINARY_LATENCY, FakeWeChatAPI, Fault, Request

__all__ = [
    "ORDINARY_LATENCY",
    "FakeAccount",
    "FakeWeChatAPI",
    "FakeWeChatAPIServer",
    "Fault",
    "Followers",
    "Issued",
    "ListedFollowers",
    "NumberedFollowers",
    "PopulationFollowers",
    "Request",
    "Sent",
    "acts_on",
    "noted",
    "offered",
]

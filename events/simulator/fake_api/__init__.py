"""WeChat's API as a small server on this machine, for demonstrations and tests.

It answers in WeChat's words and keeps WeChat's limits. A test can make it slow, make calls fail,
end tokens, or use up quotas.

1. `service.FakeWeChatAPI` serves calls, from any thread, without a network;
2. `fake_account.FakeAccount` holds an account's menu, tags, codes, tokens, quotas and messages;
3. `followers` knows the followers: a list, the simulator's population, or numbered people;
4. `fake_people` lets the simulator's people use the account's codes, menu and messages;
5. `server.FakeWeChatAPIServer` serves it on a port, with control for other processes.
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

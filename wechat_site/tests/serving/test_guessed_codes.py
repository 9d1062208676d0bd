"""Codes guessed by the thousand, at a running site: none is found, and the true follower binds."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter

import pytest

from wechat_site.tests.serving.wechat_timing import TOKEN, Told, WeChat
from wechat_site.tests.site import Site

pytestmark = pytest.mark.slow

GUESSES, FOLLOWERS = 2000, 400
# As many as the site takes, but no more than this at a time.
AT_ONCE = 64
# Batches that other processes write at the same time do not see each other's wrong codes.
MOST_WRONG = 100 + FOLLOWERS + 2 * AT_ONCE
ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"

START = """
from django.contrib.auth.models import User
from events.models import OfficialAccount
from subscribers.binding.bind import start_binding
from subscribers.models import BindingRequest
account = OfficialAccount.objects.get(slug="guessed")
alice = User.objects.create_user("alice")
print(start_binding(account=account, user=alice, way=BindingRequest.Way.CODE).code)
"""
OUTCOME = """
import json
from django.db.models import Count
from subscribers.models import Binding, BindingScan
reasons = BindingScan.objects.values_list("refused_reason").annotate(n=Count("pk"))
bound = Binding.objects.active().values_list("subscriber__openid", "user__username")
print(json.dumps([dict(reasons), list(bound)]))
"""


def test_none_is_found_and_the_true_follower_is_heard(site: Site):
    path = site.manage(
        *("add_account", "guessed", "--original-id", "gh_guessed", "--mode", "plaintext"),
        *("--app-id", "wx1b7c2a5e90d34f68", "--token", TOKEN, "--site-url", "http://site"),
    ).splitlines()[-1]
    code = site.manage("shell", "-v0", "-c", START).strip()
    site.start_web()
    callback = path.removeprefix("http://site")
    wechat = WeChat(site.port, callback, "gh_guessed", seconds=60, tries=50)
    chance = random.Random("guesses")
    numbers = itertools.count()
    told: list[Told] = []

    async def guess() -> None:
        while (number := next(numbers)) < GUESSES:
            text = "2B" + "".join(chance.choices(ALPHABET, k=6))
            # The right one is among them, from one who has erred.
            text = code if number == GUESSES * 3 // 4 else text
            text = f"{text[:4]}-{text[4:]}"
            told.append(await wechat.text(f"guesser{number % FOLLOWERS}", text))

    async def attack() -> Told:
        guessing = asyncio.gather(*(guess() for _ in range(AT_ONCE)))
        while len(told) < GUESSES * 4 // 5:
            await asyncio.sleep(0.01)
        true = await wechat.text("true", f"{code[:4]}-{code[4:]}")
        await guessing
        return true

    true = asyncio.run(attack())
    assert "alice" in (true.text or "")
    # Each was taken, on a busy machine not at its first try, and answered.
    assert Counter(one.statuses[-1] for one in told) == {200: GUESSES}
    assert all(one.text for one in told)
    reasons, bound = json.loads(site.manage("shell", "-v0", "-c", OUTCOME))
    assert bound == [["true", "alice"]]
    assert reasons["unknown"] <= MOST_WRONG
    assert reasons["unknown"] + reasons["too_many"] == GUESSES

"""Many guesses at once, each from an address of its own, against a running site."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter

import httpx
import pytest

from wechat_site.tests.launch import ROOT
from wechat_site.tests.site import Site

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
GUESSES = 60
# Each process looks at one password at a time, and cannot know of those that others look at.
MOST_LOOKED_AT = 5 + 16
SEED = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("ops", password="{PASSWORD}")
"""
ENTRIES = """
import json
from events.models import AuditEntry
failed = AuditEntry.objects.filter(act="sign_in_failed").order_by("pk")
print(json.dumps([[entry.details["reason"], entry.user_name, entry.address] for entry in failed]))
"""
FORGET = "from django.core.cache import cache; cache.clear()"


def filter_of_fail2ban() -> re.Pattern[str]:
    """What docs/sign-in.md tells operators to write."""
    text = (ROOT / "docs" / "sign-in.md").read_text()
    line = re.search(r"failregex = (.*)", text)
    assert line
    return re.compile(line[1].replace("<HOST>", r"(?P<host>[0-9a-f.:]+)"))


def test_guesses_at_one_name_from_many_addresses_are_locked_told_and_logged(site: Site):
    site.environment["TRUSTED_PROXIES"] = "1"
    site.manage("shell", "-v0", "-c", SEED)
    site.start_web()
    login = f"http://127.0.0.1:{site.port}/account/login/"

    async def sign_in(client: httpx.AsyncClient, password: str, address: str) -> httpx.Response:
        page = await client.get(login)
        form = {"username": "ops", "password": password}
        form["csrfmiddlewaretoken"] = page.cookies["csrftoken"]
        return await client.post(login, data=form, headers={"X-Forwarded-For": address})

    async def from_own_line(password: str, address: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=300, headers={"Accept-Language": "en"}) as client:
            return await sign_in(client, password, address)

    async def attack() -> list[httpx.Response]:
        guesses = (from_own_line(f"guess {n}", f"198.51.100.{n}") for n in range(GUESSES))
        return await asyncio.gather(*guesses)

    guesses = asyncio.run(attack())
    assert {guess.status_code for guess in guesses} <= {200, 429}
    right = asyncio.run(from_own_line(PASSWORD, "203.0.113.7"))
    assert right.status_code == 200
    assert "Too many" in right.text

    failed = filter_of_fail2ban()
    lines = [found for line in site.log.read_text().splitlines() if (found := failed.match(line))]
    reasons = Counter(line.string.partition("reason=")[2].split()[0] for line in lines)
    assert reasons["password"] <= MOST_LOOKED_AT
    assert (
        reasons["locked"]
        >= GUESSES - MOST_LOOKED_AT - Counter(guess.status_code for guess in guesses)[429]
    )
    assert {line["host"] for line in lines} >= {"203.0.113.7"}
    entries = json.loads(site.manage("shell", "-v0", "-c", ENTRIES))
    assert Counter(reason for reason, _, _ in entries)["password"] == reasons["password"]
    assert {name for _, name, _ in entries} == {"ops"}

    # the lock ends with its time, and the right user comes in
    site.manage("shell", "-v0", "-c", FORGET)
    assert asyncio.run(from_own_line(PASSWORD, "203.0.113.7")).status_code == 302

"""The app of docs/extending.md, written out as the page has it and run as the page says."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest

from events.testing import AES_KEY, message_xml
from events.wechat import Credentials, SecurityMode
from events.wechat.sender import open_reply, seal_push
from events.wechat.xml import parse
from wechat_site.tests.launch import ROOT
from wechat_site.tests.site import Site, site_of_its_own

pytestmark = pytest.mark.any_database

PAGE = (ROOT / "docs" / "extending.md").read_text()
CREDENTIALS = Credentials(
    app_id="wx3a9f0c27d81be645",
    mode=SecurityMode.SAFE,
    tokens=("Rk7mWechatTok2026",),
    aes_keys=(AES_KEY,),
)


def write_app(folder: Path) -> dict[str, str]:
    """Writes the page's files; returns the environment that the page tells to set."""
    files = dict(re.findall(r"^`(visits/\w+\.py)`\n\n```python\n(.*?)^```$", PAGE, re.M | re.S))
    assert files.keys() == {f"visits/{name}.py" for name in ("models", "wechat", "admin", "tests")}
    assert "`visits/__init__.py` is empty." in PAGE
    for name, code in (files | {"visits/__init__.py": ""}).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    assert "PYTHONPATH=~/wechat-apps EXTRA_APPS=visits" in PAGE
    return {"PYTHONPATH": str(folder), "EXTRA_APPS": "visits"}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def push_to(site: Site, path: str, body: bytes) -> str:
    """Posts a message to the running site; returns the content of its reply, or "success"."""
    query, sealed = seal_push(
        body,
        credentials=CREDENTIALS,
        mode=CREDENTIALS.mode,
        timestamp=int(time.time()),
        nonce=secrets.token_hex(5),
        random=secrets.token_bytes(16),
    )
    url = f"http://127.0.0.1:{site.port}{path}?{urlencode(query)}"
    with urllib.request.urlopen(urllib.request.Request(url, data=sealed), timeout=10) as response:
        answer = response.read()
    if answer == b"success":
        return "success"
    return str(parse(open_reply(answer, credentials=CREDENTIALS))["Content"])


@pytest.mark.slow
def test_the_app_of_the_page_is_tested_and_served_as_the_page_says(tmp_path, prepared_database):
    environment = write_app(tmp_path)
    aside = {"DATABASE_URL": f"sqlite:///{tmp_path}/aside.sqlite3"}
    for command in re.findall(r"^    \.venv/bin/python manage\.py (.* visits)$", PAGE, re.M):
        done = manage(*command.split(), **environment, **aside)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "visits/migrations/0001_initial.py").exists()
    assert "Ran 1 test" in done.stderr

    with site_of_its_own(tmp_path, prepared_database, **environment) as site:
        site.manage("migrate", "-v0")
        look = (
            "from events.callback.callback_address import callback_path; "
            "from events.models import *; print(callback_path(OfficialAccount.objects.get()))"
        )
        path = site.manage("shell", "-v0", "-c", look).strip()
        site.start_web()
        now = int(time.time())
        for at in (now - 2, now - 1, now):
            push_to(site, path, message_xml("event.SCAN", EventKey="door-1", at=at))
        click = message_xml("event.CLICK", EventKey="MENU_MY_VISITS")
        assert push_to(site, path, click) == "您来过 3 次。"
        # The operators' rules are as they were.
        other = message_xml("event.CLICK", EventKey="ANOTHER")
        assert push_to(site, path, other) == "好的 😀"
        sent = "from subscribers.models import *; print(OutgoingMessage.objects.get().payload)"
        assert "送您一杯咖啡" in site.manage("shell", "-v0", "-c", sent)


def test_an_app_of_ones_own_needs_no_other_module_than_extend():
    imported = set(re.findall(r"from (\S+) import", PAGE)) - {"visits.models"}
    assert {name for name in imported if not name.startswith("django")} == {"events.extend"}


@pytest.mark.slow
def test_extend_has_all_it_lists_and_loads_no_test_client_before_one_is_asked_for():
    code = (
        "import django, sys; django.setup(); import events.extend as public; "
        "assert 'django.test.client' not in sys.modules; "
        "[getattr(public, name) for name in public.__all__]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "wechat_site.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""QR codes as an operator makes them, in Debian's Chromium, against a fake of WeChat's platform."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault
from wechat_site.tests.site import Site, site_of_its_own

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CREATE = "/cgi-bin/qrcode/create"
APP_ID, SECRET = "wx3a9f0c27d81be645", "5d41402abc4b2a76b9719d911017c592"
PASSWORD = "correct horse battery staple"

WORDS = {
    "zh-CN": {
        "ready": "可用", "failed": "失败", "expired": "已过期", "elsewhere": "在别处生成",
        "only_certified": "只为已认证的服务号", "line": "第 2 行：", "renew": "续期",
        "waiting": "等待微信",
    },
    "en-US": {
        "ready": "ready", "failed": "failed", "expired": "expired", "elsewhere": "made elsewhere",
        "only_certified": "only for certified", "line": "Line 2: ", "renew": "Renew",
        "waiting": "waiting for WeChat",
    },
}  # fmt: skip

# Somebody came through codes that another system had made: one for each turn of the test.
SEEN_ELSEWHERE = """
import time
from django.utils import timezone
from events.callback.build_event import build_event
from events.models import OfficialAccount
from events.log.process import deliver
from events.simulator.pushes import event_push
account = OfficialAccount.objects.get()
for number in range(4):
    push = event_push(account.original_id, f"oT3xk5QmZb7LwR2nVc9Ys0DfHj4{number}",
        int(time.time()) + number, "subscribe", f"qrscene_old-{number}", {"Ticket": "gQ8OLD"})
    deliver([build_event(account, push.body, timezone.now())])
"""
EXPIRE = """
from django.utils import timezone
from subscribers.models import QRScene
QRScene.objects.filter(is_permanent=False).update(expires_at=timezone.now())
"""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeWeChatAPI]:
    # Slow enough that a page is seen before its code is there.
    fake = FakeWeChatAPI(random=Random(1), latency=(0.3, 0.5))
    fake.add_account(APP_ID, SECRET)
    with FakeWeChatAPIServer(fake) as server:
        fake.url = server.url  # type: ignore[attr-defined]
        yield fake


@pytest.fixture(scope="module")
def site(fake: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with web server and worker, an account and an operator."""
    with site_of_its_own(
        tmp_path_factory.mktemp("scenes"),
        WECHAT_API_BASE=fake.url,
        WECHAT_APP_SECRET=SECRET,
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    ) as site:
        site.manage(
            "createsuperuser", "--noinput", "--username", "operator", "--email", "o@example.com"
        )
        site.start_web()
        site.start("manage.py", "worker")
        site.manage("shell", "-v0", "-c", SEEN_ELSEWHERE)
        yield site


def decoded(path: Path) -> list[str]:
    """What an independent decoder reads in a picture."""
    if shutil.which("zbarimg") is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no zbarimg (Debian: apt-get install zbar-tools)")
    command = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 1400), ("en-US", 390)])
def test_an_operator_makes_prints_and_packs_codes(site, fake, chromium, tmp_path, language, width):
    url, words = f"http://127.0.0.1:{site.port}", WORDS[language]
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((url, "data:"))
            else problems.append(f"from outside: {request.url}")
        ),
    )
    at_wechat = fake.account(APP_ID)
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))

    def look(name: str) -> None:
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        page.screenshot(path=pictures / f"{name}-{language}-{width}.png", full_page=True)
        assert over <= 0, f"{page.url} is wider than the window"

    page.goto(f"{url}/admin/")
    page.fill("input[name=username]", "operator")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/admin/")

    # one code: made, waited for without a reload, downloaded and read
    name = f"地铁海报 {language}/{width}"
    page.goto(f"{url}/admin/subscribers/qrscene/add/")
    look("add")
    page.select_option("select[name=account]", index=1)
    page.fill("input[name=name]", name)
    page.fill("input[name=tag_names]", "上海，地铁")
    made = len(at_wechat.codes)
    # A second click makes no second code.
    page.dblclick("button[name=_save]")
    page.wait_for_selector("#scene-code[data-refresh-seconds]")
    look("waiting")
    page.evaluate("window.isStillTheSamePage = true")
    page.wait_for_selector("#scene-code .qr-picture svg")
    assert page.evaluate("window.isStillTheSamePage")
    assert page.inner_text("#scene-code .badge") == words["ready"]
    look("ready")
    with page.expect_download() as started:
        page.click(".qr-links a[href$='/png/']")
    assert started.value.suggested_filename.startswith("地铁海报")
    started.value.save_as(tmp_path / "code.png")
    assert decoded(tmp_path / "code.png") == [at_wechat.codes[-1].url]
    assert len(at_wechat.codes) == made + 1

    # one that fails: the reason is on the page, and it is tried again
    fake.make_trouble(CREATE, Fault(errcode=48001, errmsg="api unauthorized"))
    page.goto(f"{url}/admin/subscribers/qrscene/add/")
    page.select_option("select[name=account]", index=1)
    page.fill("input[name=name]", "Cashier")
    page.click("button[name=_save]")
    page.wait_for_selector("#scene-code .badge-danger")
    page.get_by_text("48001 api unauthorized").wait_for()
    page.get_by_text(words["only_certified"]).wait_for()
    assert page.inner_text("#scene-code .badge") == words["failed"]
    look("failed")
    page.click(".qr-links a[href$='/fetch/']")
    look("again")
    page.click("form:has(a[href$='/change/']) button[type=submit]")
    page.wait_for_selector("#scene-code .qr-picture svg")

    # many: a wrong line is named and nothing typed is lost; then all, as one ZIP
    page.goto(f"{url}/admin/subscribers/qrscene/several/")
    box = page.locator("textarea[name=codes]")
    stem = f"{language}-{width}"
    box.fill(f"门店一,{stem}-1\n门店二,qrscene_x\n门店三\n")
    page.click("form.qr-list button[type=submit]")
    page.wait_for_selector(".errors")
    page.get_by_text(words["line"]).wait_for()
    look("several")
    assert box.input_value().splitlines()[2] == "门店三"
    box.fill(f"门店一,{stem}-1\n门店二,{stem}-2\n门店三\n")
    page.click("form.qr-list button[type=submit]")
    page.wait_for_url(f"{url}/admin/subscribers/qrscene/")
    look("list")
    # the list is loaded anew when nothing waits any more
    page.wait_for_function(
        """text => {
            const list = document.querySelector("#result_list");
            return list && !list.textContent.includes(text);
        }""",
        arg=words["waiting"],
    )
    for box in page.locator("#result_list input.action-select").all()[:3]:
        box.check()
    page.select_option("select[name=action]", "download_archive")
    with page.expect_download() as started:
        page.click("#changelist-form button[name=index]")
    packed = zipfile.ZipFile(io.BytesIO(Path(started.value.path()).read_bytes()))
    names = packed.namelist()
    assert [name.split(" ")[0] for name in names] == ["门店一", "门店二", "门店三", "codes.csv"]
    (tmp_path / "store.png").write_bytes(packed.read(names[0]))
    [shown] = decoded(tmp_path / "store.png")
    assert [code.scene for code in at_wechat.codes if code.url == shown] == [f"{stem}-1"]

    # a temporary one whose time is over, and its renewal
    page.goto(f"{url}/admin/subscribers/qrscene/add/")
    page.select_option("select[name=account]", index=1)
    page.fill("input[name=name]", "Fair")
    page.select_option("select[name=lifetime]", "86400")
    page.click("button[name=_save]")
    page.wait_for_selector("#scene-code .qr-picture svg")
    site.manage("shell", "-v0", "-c", EXPIRE)
    page.reload()
    assert page.inner_text("#scene-code .badge") == words["expired"]
    look("expired")
    page.get_by_role("link", name=words["renew"], exact=True).click()
    page.click("form:has(a[href$='/change/']) button[type=submit]")
    page.wait_for_selector("#scene-code .qr-picture svg")

    # one of another system's, adopted
    page.goto(f"{url}/admin/subscribers/seenscene/")
    look("elsewhere")
    page.locator("#result_list input.action-select").first.check()
    page.select_option("select[name=action]", "adopt")
    page.click("#changelist-form button[name=index]")
    page.wait_for_selector("#scene-code .badge")
    assert page.inner_text("#scene-code .badge") == words["elsewhere"]
    look("adopted")
    page.goto(f"{url}/admin/subscribers/qrscene/")
    look("list-of-all")
    assert problems == []
    context.close()

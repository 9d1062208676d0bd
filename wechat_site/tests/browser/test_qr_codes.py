"""QR codes as an operator makes them, in Debian's Chromium, against a fake of WeChat's platform."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from events.simulator.fake_api import Fault

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CODES = "/admin/subscribers/qrscene/"
CREATE = "/cgi-bin/qrcode/create"
# The button of the page that asks whether to fetch a code again.
CONFIRM = "form:has(a[href$='/change/']) button[type=submit]"

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

EXPIRE = """
UPDATE subscribers_qrscene SET expires_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
WHERE NOT is_permanent
"""


def decoded(path: Path) -> list[str]:
    """What an independent decoder reads in a picture."""
    if shutil.which("zbarimg") is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no zbarimg (Debian: apt-get install zbar-tools)")
    command = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


def test_an_operator_makes_prints_and_packs_codes(shared_site, chromium, tmp_path):
    words, in_chinese = WORDS["en-US"], WORDS["zh-CN"]
    api, at_wechat = shared_site.api, shared_site.at_wechat("codes")
    # Somebody came through a code that another system had made.
    shared_site.push(
        *("codes", "oT3xk5QmZb7LwR2nVc9Ys0DfHj40"),
        **{"MsgType": "event", "Event": "subscribe", "EventKey": "qrscene_old", "Ticket": "gQ8OLD"},
    )
    with shared_site.screen(chromium, "codes", width=390) as screen:
        page = screen.page
        badge = page.locator("#scene-code .badge")
        drawn = page.locator("#scene-code .qr-picture svg")

        def begin(name: str) -> None:
            screen.goto(f"{CODES}add/")
            page.select_option("select[name=account]", index=1)
            page.fill("input[name=name]", name)

        # one code: made, waited for without a reload, downloaded and read
        begin("地铁海报 Metro")
        page.fill("input[name=tag_names]", "上海，地铁")
        screen.fits("codes-add")
        with api.held():
            # A second click makes no second code.
            page.dblclick("button[name=_save]")
            page.wait_for_selector("#scene-code[data-refresh-seconds]")
            screen.fits("codes-waiting")
            page.evaluate("window.isStillTheSamePage = true")
        drawn.wait_for()
        assert page.evaluate("window.isStillTheSamePage")
        expect(badge).to_have_text(words["ready"])
        screen.fits("codes-ready")
        screen.reads_in_other_language(in_chinese["ready"])
        with page.expect_download() as started:
            page.click(".qr-links a[href$='/png/']")
        assert started.value.suggested_filename.startswith("地铁海报")
        started.value.save_as(tmp_path / "code.png")
        assert decoded(tmp_path / "code.png") == [at_wechat.codes[-1].url]
        assert len(at_wechat.codes) == 1

        # one that fails: the reason is on the page, and it is tried again
        api.make_trouble(CREATE, Fault(errcode=50002, errmsg="user limited"))
        begin("Cashier")
        page.click("button[name=_save]")
        page.wait_for_selector("#scene-code .badge-danger")
        page.get_by_text("50002 user limited").wait_for()
        page.get_by_text(words["only_certified"]).wait_for()
        expect(badge).to_have_text(words["failed"])
        screen.fits("codes-failed")
        screen.reads_in_other_language(in_chinese["failed"], in_chinese["only_certified"])
        page.click(".qr-links a[href$='/fetch/']")
        page.wait_for_url("**/fetch/")
        screen.fits("codes-again")
        page.click(CONFIRM)
        drawn.wait_for()

        # many: a wrong line is named and nothing typed is lost; then all, as one ZIP
        screen.goto(f"{CODES}several/")
        box = page.locator("textarea[name=codes]")
        box.fill("门店一,store-1\n门店二,qrscene_x\n门店三\n")
        page.click("form.qr-list button[type=submit]")
        page.wait_for_selector(".errors")
        page.get_by_text(words["line"]).wait_for()
        screen.fits("codes-several")
        assert box.input_value().splitlines()[2] == "门店三"
        box.fill("门店一,store-1\n门店二,store-2\n门店三\n")
        with api.held():
            page.click("form.qr-list button[type=submit]")
            page.wait_for_url(f"**{CODES}")
            screen.fits("codes-list")
            expect(page.locator("#result_list")).to_contain_text(words["waiting"])
            screen.reads_in_other_language(in_chinese["waiting"])
            page.evaluate("window.isFirst = true")
        # the list is loaded anew when nothing waits any more
        page.wait_for_function("!window.isFirst && document.readyState === 'complete'")
        expect(page.locator("#result_list")).not_to_contain_text(words["waiting"])
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
        assert [code.scene for code in at_wechat.codes if code.url == shown] == ["store-1"]

        # a temporary one whose time is over, and its renewal
        begin("Fair")
        page.select_option("select[name=lifetime]", "86400")
        page.click("button[name=_save]")
        drawn.wait_for()
        shared_site.execute(EXPIRE)
        page.reload()
        expect(badge).to_have_text(words["expired"])
        screen.fits("codes-expired")
        screen.reads_in_other_language(in_chinese["expired"], in_chinese["renew"])
        page.get_by_role("link", name=words["renew"], exact=True).click()
        page.click(CONFIRM)
        drawn.wait_for()

        # one of another system's, adopted
        screen.goto("/admin/subscribers/seenscene/")
        screen.fits("codes-elsewhere")
        page.locator("#result_list input.action-select").first.check()
        page.select_option("select[name=action]", "adopt")
        page.click("#changelist-form button[name=index]")
        expect(badge).to_have_text(words["elsewhere"])
        screen.fits("codes-adopted")
        screen.reads_in_other_language(in_chinese["elsewhere"])
        screen.goto(CODES)
        screen.fits("codes-list-of-all")

"""A menu as an operator makes it, in Debian's Chromium, against the fake platform."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from playwright.sync_api import expect

from events.simulator.fake_api import (
    ORDINARY_LATENCY,
    FakeAccount,
    FakeWeChatAPI,
    FakeWeChatAPIServer,
)
from wechat_site.tests.site import LIMIT, Site, site_of_its_own

pytestmark = [pytest.mark.browser, pytest.mark.slow]

APP_ID = "wx3a9f0c27d81be645"
APP_SECRET = "5d41402abc4b2a76b9719d911017c592"

WORDS = {
    "zh-CN": {
        "edit": "编辑", "ask": "查询微信", "add_entry": "添加菜单", "add_sub": "添加子菜单",
        "too_long": "微信最多允许 16 字节，现有 18 字节", "bytes": "18 / 16 字节",
        "saved": "发布后粉丝才能看到", "publish": "发布", "changes": "改动：",
        "new": "新增：服务 › 商城", "live": "粉丝当前所见", "again": "重新发布",
        "gone": "移除：关于", "console": "不是从本站发布的",
    },
    "en-US": {
        "edit": "Edit", "ask": "Ask WeChat", "add_entry": "Add an entry",
        "add_sub": "Add a sub-entry", "too_long": "WeChat takes at most 16 bytes; this has 18.",
        "bytes": "18 of 16 bytes", "saved": "Followers see it once it is published.",
        "publish": "Publish", "changes": "What changes:", "new": "New: 服务 › 商城",
        "live": "what followers see", "again": "Publish again", "gone": "Gone: 关于",
        "console": "not published here",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def platform() -> Iterator[tuple[FakeAccount, str]]:
    """The account on a fake platform, and that platform's address."""
    fake = FakeWeChatAPI(random=Random(1), latency=ORDINARY_LATENCY)
    account = fake.add_account(APP_ID, APP_SECRET)
    with FakeWeChatAPIServer(fake) as server:
        yield account, server.url


@pytest.fixture(scope="module")
def site(tmp_path_factory, prepared_database, platform) -> Iterator[Site]:
    _, platform_url = platform
    folder = tmp_path_factory.mktemp("menu")
    with site_of_its_own(folder, prepared_database, WECHAT_API_BASE=platform_url) as site:
        site.manage(
            *("shell", "-v0", "-c"),
            "from django.contrib.auth.models import User;"
            "from events.models import OfficialAccount;"
            f"OfficialAccount.objects.update(name='云杉书店'); a = OfficialAccount.objects.get();"
            f"a.app_secret = '{APP_SECRET}'; a.save();"
            "User.objects.create_superuser('op', password='op')",
        )
        site.start_web()
        site.start("manage.py", "worker")
        yield site


@pytest.fixture
def at_wechat(platform: tuple[FakeAccount, str], site: Site) -> FakeAccount:
    """The account there, which like the site knows no menu yet."""
    account, _ = platform
    account.menu = account.console_menu = None
    database = site.environment["DATABASE_URL"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute("DELETE FROM events_livemenu")
        connection.execute("DELETE FROM events_menuversion")
    return account


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 390), ("en-US", 1400)])
def test_a_menu_is_edited_published_and_taken_back(
    site, at_wechat, chromium, language, width, tmp_path
):
    words = WORDS[language]
    account = at_wechat
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    url = f"http://127.0.0.1:{site.port}"
    menus = f"{url}/admin/events/menuversion/"

    def shows(text: str) -> None:
        page.get_by_text(text).first.wait_for(state="attached")
        width_over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert width_over <= 0, f"{page.url} is wider than the window"
        page.screenshot(path=tmp_path / f"{len(list(tmp_path.glob('*.png')))}.png", full_page=True)

    def fill(prefix: str, **fields: str) -> None:
        for name, value in fields.items():
            field = page.locator(f"[name={prefix}-{name}]")
            if name == "type":
                field.select_option(value)
            else:
                field.fill(value)

    def until(menu_is_right: Any) -> None:
        deadline = time.monotonic() + LIMIT
        while not menu_is_right() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert menu_is_right(), account.menu

    sign_in(page, menus)
    page.wait_for_load_state()
    page.get_by_role("button", name=words["ask"]).click()
    page.wait_for_load_state()

    # Written: three entries, of which the second has two of its own.
    page.get_by_role("link", name=words["edit"], exact=True).click()
    page.wait_for_selector("[data-add-top]:visible")
    fill("button0", name="我的订单", type="click", key="MENU_MY_ORDERS")
    assert not page.locator("[name=button0-url]").is_visible()
    page.get_by_role("button", name=words["add_entry"]).click()
    fill("button1", name="服务")
    for at, name in enumerate(["扫码核验", "商城"]):
        page.locator("[data-top]").nth(1).get_by_role("button", name=words["add_sub"]).click()
        fill(f"button1-{at}", name=name)
    fill("button1-0", type="scancode_waitmsg", key="SCAN_CHECK")
    fill("button1-1", type="view", url="https://www.example.com/shop")
    page.get_by_role("button", name=words["add_entry"]).click()
    fill("button2", name="六个汉字名称", type="view", url="https://www.example.com/about")
    shows(words["bytes"])

    # The phone shows it meanwhile.
    phone = page.locator("[data-phone-buttons]")
    assert phone.locator(".phone-name").all_text_contents() == ["我的订单", "服务", "六个汉字名称"]
    page.locator("[data-sub]:visible [data-move='-1']:enabled").click()
    assert phone.locator("li").all_text_contents() == ["商城", "扫码核验"]

    # Too long for WeChat: said beside the field, with nothing lost.
    page.click("button[name=_save]")
    shows(words["too_long"])
    assert page.locator("[name=button1-0-url]").input_value() == "https://www.example.com/shop"
    fill("button2", name="关于")
    page.click("button[name=_save]")
    shows(words["saved"])
    first = page.url

    # Published, after a look at what changes.
    page.locator(".menu-next a").click()
    shows(words["changes"])
    shows(words["new"])
    page.get_by_role("button", name=words["publish"], exact=True).click()
    shows(words["live"])
    names = [button["name"] for button in account.menu["button"]]
    assert names == ["我的订单", "服务", "关于"]
    assert [sub["name"] for sub in account.menu["button"][1]["sub_button"]] == ["商城", "扫码核验"]

    # A smaller one is published, and the first taken back.
    page.goto(f"{menus}add/?account=load")
    page.locator("[data-top]").nth(2).locator("> [data-tools] [data-clear]").click()
    page.click("button[name=_save]")
    shows(words["saved"])
    page.locator(".menu-next a").click()
    shows(words["gone"])
    page.get_by_role("button", name=words["publish"], exact=True).click()
    until(lambda: len(account.menu["button"]) == 2)
    shows(words["live"])
    page.goto(first)
    page.locator(".menu-next a").click()
    page.get_by_role("button", name=words["again"], exact=True).click()
    until(lambda: len(account.menu["button"]) == 3)
    shows(words["live"])

    # Somebody changes it in WeChat's console.
    account.console_menu = {"button": [{"name": "今日文章", "type": "news", "value": "M1"}]}
    page.goto(menus)
    page.get_by_role("button", name=words["ask"]).click()
    shows(words["console"])
    assert problems == []
    context.close()


def sign_in(page, address):
    page.goto(address)
    page.fill("input[name=username]", "op")
    page.fill("input[name=password]", "op")
    page.click("button[type=submit]")
    # What is typed into a page that still loads may be lost.
    page.wait_for_url(address)


def test_the_editor_is_used_by_keyboard(site, at_wechat, chromium):
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    sign_in(page, f"http://127.0.0.1:{site.port}/admin/events/menuversion/add/")
    phone = page.locator("[data-phone-buttons]")

    def focused(attribute):
        return page.evaluate(f"document.activeElement.getAttribute('{attribute}')")

    page.focus("[name=button0-name]")
    page.keyboard.type("a")
    page.get_by_role("button", name="Add an entry").press("Enter")
    assert focused("name") == "button1-name"
    page.keyboard.type("b")
    page.get_by_role("button", name="Add a sub-entry").nth(1).press("Enter")
    assert focused("name") == "button1-0-name"
    page.keyboard.type("c")

    # What was moved keeps the focus, and so may be moved on.
    page.locator("[data-top]").nth(1).locator("> [data-tools] [data-move='-1']").press("Enter")
    expect(phone.locator(".phone-name")).to_have_text(["b", "a"])
    assert focused("data-move") == "1"
    page.keyboard.press("Enter")
    expect(phone.locator(".phone-name")).to_have_text(["a", "b"])
    assert focused("data-move") == "-1"

    # What was removed hands it to what is left.
    page.locator("[data-sub]:visible [data-clear]").press("Enter")
    assert page.evaluate("document.activeElement.localName") == "button"
    assert page.locator("[data-sub]:visible").count() == 0
    page.locator("[data-top]:visible [data-clear]").first.press("Enter")
    expect(phone.locator(".phone-name")).to_have_text(["b"])
    assert page.evaluate("document.activeElement.localName") == "button"
    page.locator("[data-top]:visible > [data-tools] [data-clear]").press("Enter")
    assert focused("data-add-top") == ""
    context.close()


def test_the_form_works_without_scripts(site, at_wechat, chromium):
    context = chromium.new_context(locale="en-US", java_script_enabled=False)
    page = context.new_page()
    sign_in(page, f"http://127.0.0.1:{site.port}/admin/events/menuversion/add/")
    assert "JavaScript is off." in page.locator("[data-menu-editor] noscript").inner_text()
    assert page.locator("[name=button2-4-name]").count() == 1
    assert not page.locator("[name=button0-key]").is_visible()
    page.select_option("[name=button0-type]", "click")
    page.fill("[name=button0-name]", "我的订单")
    page.fill("[name=button0-key]", "MENU_MY_ORDERS")
    page.fill("[name=button2-name]", "服务")
    page.locator("[data-top]").nth(2).locator("summary").first.click()
    page.fill("[name=button2-0-name]", "商城")
    page.select_option("[name=button2-0-type]", "view")
    page.fill("[name=button2-0-url]", "https://www.example.com/shop")
    page.click("button[name=_save]")
    page.get_by_text("Followers see it once it is published.").wait_for()
    assert page.locator(".phone-name").all_text_contents() == ["我的订单", "服务"]
    page.locator(".menu-next a").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    deadline = time.monotonic() + LIMIT
    while at_wechat.menu is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [button["name"] for button in at_wechat.menu["button"]] == ["我的订单", "服务"]
    context.close()

"""A menu as an operator makes it, in Debian's Chromium, against the fake platform."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from events.simulator.fake_api import FakeAccount
from wechat_site.tests.browser.shared_site import SharedSite

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MENUS = "/admin/events/menuversion/"
WORDS = {
    "zh-CN": {
        "edit": "编辑", "ask": "查询微信", "add_entry": "添加菜单", "add_sub": "添加子菜单",
        "too_long": "微信最多允许 16 字节，现有 18 字节", "bytes": "18 / 16 字节",
        "saved": "发布后粉丝才能看到", "publish": "发布", "changes": "改动：",
        "new": "新增：服务 › 商城", "live": "粉丝当前所见", "again": "重新发布",
        "gone": "移除：关于", "new_about": "新增：关于",
        "no_menu": "微信上没有菜单。", "console": "不是从本站发布的",
    },
    "en-US": {
        "edit": "Edit", "ask": "Ask WeChat", "add_entry": "Add an entry",
        "add_sub": "Add a sub-entry", "too_long": "WeChat takes at most 16 bytes; this has 18.",
        "bytes": "18 of 16 bytes", "saved": "Followers see it once it is published.",
        "publish": "Publish", "changes": "What changes:", "new": "New: 服务 › 商城",
        "live": "what followers see", "again": "Publish again", "gone": "Gone: 关于",
        "new_about": "New: 关于", "no_menu": "WeChat shows no menu.",
        "console": "not published here",
    },
}  # fmt: skip


@pytest.fixture
def at_wechat(shared_site: SharedSite) -> FakeAccount:
    """The account there, which like the site knows no menu yet."""
    account = shared_site.at_wechat("menu")
    account.menu = account.console_menu = None
    shared_site.execute("DELETE FROM events_livemenu")
    shared_site.execute("DELETE FROM events_menuversion")
    return account


def test_a_menu_is_edited_published_and_taken_back(shared_site, at_wechat, chromium):
    words, in_chinese = WORDS["en-US"], WORDS["zh-CN"]
    account = at_wechat
    with shared_site.screen(chromium, "menu") as screen:
        page = screen.page

        def shows(text: str, name: str) -> None:
            page.get_by_text(text).first.wait_for(state="attached")
            screen.fits(f"menu-{name}")

        def fill(prefix: str, **fields: str) -> None:
            for name, value in fields.items():
                field = page.locator(f"[name={prefix}-{name}]")
                if name == "type":
                    field.select_option(value)
                else:
                    field.fill(value)

        def publish(word: str, change: str, *, entries: int) -> None:
            """Goes from the form to the page that says what changes, and agrees."""
            page.locator(".menu-next a").click()
            page.get_by_text(change).first.wait_for()
            page.get_by_role("button", name=word, exact=True).click()
            shared_site.site.wait_until(lambda: len(account.menu["button"]) == entries)
            page.get_by_text(words["live"]).first.wait_for()

        screen.goto(MENUS)
        page.get_by_role("button", name=words["ask"]).click()
        # Until then the page loads itself anew.
        page.get_by_text(words["no_menu"]).wait_for()
        screen.fits("menu-list")
        screen.reads_in_other_language(in_chinese["no_menu"])

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
        shows(words["bytes"], "editor")

        # The phone shows it meanwhile.
        phone = page.locator("[data-phone-buttons]")
        expect(phone.locator(".phone-name")).to_have_text(["我的订单", "服务", "六个汉字名称"])
        page.locator("[data-sub]:visible [data-move='-1']:enabled").click()
        expect(phone.locator("li")).to_have_text(["商城", "扫码核验"])

        # Too long for WeChat: said beside the field, with nothing lost.
        page.click("button[name=_save]")
        shows(words["too_long"], "too-long")
        expect(page.locator("[name=button1-0-url]")).to_have_value("https://www.example.com/shop")
        fill("button2", name="关于")
        page.click("button[name=_save]")
        shows(words["saved"], "saved")
        first = page.url

        # Published, after a look at what changes.
        page.locator(".menu-next a").click()
        shows(words["changes"], "changes")
        page.get_by_text(words["new"]).first.wait_for()
        screen.reads_in_other_language(in_chinese["changes"], in_chinese["new"])
        page.get_by_role("button", name=words["publish"], exact=True).click()
        shows(words["live"], "live")
        screen.reads_in_other_language(in_chinese["live"])
        names = [button["name"] for button in account.menu["button"]]
        assert names == ["我的订单", "服务", "关于"]
        subs = [sub["name"] for sub in account.menu["button"][1]["sub_button"]]
        assert subs == ["商城", "扫码核验"]

        # A smaller one is published, and the first taken back.
        screen.goto(f"{MENUS}add/?account=menu")
        screen.reads_in_other_language(in_chinese["add_sub"])
        page.locator("[data-top]").nth(2).locator("> [data-tools] [data-clear]").click()
        page.click("button[name=_save]")
        page.get_by_text(words["saved"]).wait_for()
        publish(words["publish"], words["gone"], entries=2)
        page.goto(first)
        publish(words["again"], words["new_about"], entries=3)

        # Somebody changes it in WeChat's console.
        account.console_menu = {"button": [{"name": "今日文章", "type": "news", "value": "M1"}]}
        screen.goto(MENUS)
        page.get_by_role("button", name=words["ask"]).click()
        shows(words["console"], "console")
        screen.reads_in_other_language(in_chinese["console"])


def test_the_editor_is_used_by_keyboard(shared_site, at_wechat, chromium):
    with shared_site.screen(chromium, "menu") as screen:
        page = screen.page
        screen.goto(f"{MENUS}add/")
        screen.is_accessible("menu-editor")
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


def test_the_form_works_without_scripts(shared_site, at_wechat, chromium):
    with shared_site.screen(chromium, "menu", java_script_enabled=False) as screen:
        page = screen.page
        screen.goto(f"{MENUS}add/")
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
        expect(page.locator(".phone-name")).to_have_text(["我的订单", "服务"])
        page.locator(".menu-next a").click()
        page.get_by_role("button", name="Publish", exact=True).click()
        shared_site.site.wait_until(lambda: at_wechat.menu is not None)
        assert [button["name"] for button in at_wechat.menu["button"]] == ["我的订单", "服务"]

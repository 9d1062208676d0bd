"""Binding and signing in with WeChat, in Debian's Chromium, with WeChat's side on real HTTP."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What ten minutes would bring about.
EXPIRE = """
UPDATE subscribers_bindingrequest SET expires_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
WHERE completed_at IS NULL AND refused_reason = ''
"""


def test_a_scan_binds_on_the_open_page_and_the_chat_undoes_it(shared_site, chromium):
    with (
        shared_site.screen(chromium, "user0") as screen,
        shared_site.screen(chromium, "user1") as others,
    ):
        page = screen.page
        screen.goto("/me/wechat/shop/")
        screen.is_accessible("my-wechat-none")
        page.get_by_role("button", name="Show my code").click()
        page.locator("img.code").wait_for()
        screen.is_accessible("my-wechat-ready")
        page.evaluate("window.isStillTheSamePage = true")
        assert "user0" in shared_site.scan("o0", at="shop")
        page.get_by_text("is bound to the user user0").wait_for()
        assert page.evaluate("window.isStillTheSamePage")
        screen.is_accessible("my-wechat-bound")

        # the same follower is bound to nobody else
        others.goto("/me/wechat/shop/")
        others.page.get_by_role("button", name="Show my code").click()
        others.page.locator("img.code").wait_for()
        shared_site.scan("o0", at="shop")
        refusal = "Nothing was bound: this WeChat is bound to another user"
        others.page.get_by_text(refusal).wait_for()
        others.is_accessible("my-wechat-refused")

        assert "no longer bound" in shared_site.say("o0", "unbind", at="shop")
        page.reload()
        page.get_by_role("button", name="Show my code").wait_for()


def test_by_keyboard_alone_a_code_that_is_sent_binds(shared_site, chromium):
    with shared_site.screen(chromium, "user2") as screen:
        page = screen.page
        screen.goto("/me/wechat/")
        press(page, "Shop")
        press(page, "Show my code")
        page.locator("img.code").wait_for()
        press(page, "Send a code instead")
        code = page.locator(".sent-code")
        code.wait_for()
        screen.is_accessible("my-wechat-code")
        shared_site.execute(EXPIRE)
        page.get_by_text("has expired").wait_for()
        screen.is_accessible("my-wechat-expired")
        press(page, "Make a fresh code")
        code.wait_for()
        shared_site.say("o2", code.inner_text().lower(), at="shop")
        page.get_by_text("is bound to the user user2").wait_for()


def test_the_accounts_picture_stands_beside_its_name(shared_site, chromium):
    drawn = io.BytesIO()
    Image.linear_gradient("L").resize((600, 400)).convert("RGB").save(drawn, "PNG")
    upload = {"name": "logo.png", "mimeType": "image/png", "buffer": drawn.getvalue()}
    [(pk,)] = shared_site.execute("SELECT id FROM events_officialaccount WHERE slug = 'hats'")
    with shared_site.screen(chromium, "hats") as screen:
        page = screen.page
        screen.goto(f"/admin/events/officialaccount/{pk}/change/")
        page.locator("input[name=new_picture]").set_input_files(upload)
        page.get_by_role("button", name="Save and continue editing").click()
        page.get_by_alt_text("picture of the account").wait_for()
        screen.is_accessible("account-with-picture")
    with shared_site.screen(chromium, "user3", width=390) as screen:
        screen.goto("/me/wechat/hats/")
        shown = screen.page.locator("h1 img")
        assert shown.evaluate("image => image.naturalWidth") == 128
        screen.is_accessible("my-wechat-picture")
        screen.reads_in_other_language("绑定微信：Hats")


def press(page: Any, name: str) -> None:
    """Goes to a link or button by Tab, and opens it by Enter."""
    page.get_by_text(name, exact=True).first.wait_for()
    page.wait_for_load_state()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            page.keyboard.press("Enter")
            return
    pytest.fail(f"{name} cannot be reached")


def test_asked_first_a_follower_declines(shared_site, chromium):
    with shared_site.screen(chromium, "user3") as screen:
        page = screen.page
        screen.goto("/me/wechat/hats/")
        page.get_by_role("button", name="Show my code").click()
        page.locator("img.code").wait_for()
        assert "user3" in shared_site.scan("o3", at="hats")
        page.get_by_text("has asked you in WeChat").wait_for()
        screen.is_accessible("my-wechat-scanned")
        assert "Nothing was bound" in shared_site.say("o3", "decline", at="hats")
        page.get_by_text("the follower declined").wait_for()


def test_a_bound_follower_signs_in_and_without_javascript_binds(shared_site, chromium):
    with shared_site.screen(chromium, "user4", java_script_enabled=False) as plain:
        plain.goto("/me/wechat/shop/")
        plain.page.get_by_role("button", name="Show my code").click()
        # The page reloads by itself.
        plain.page.locator("img.code").wait_for()
        assert 'http-equiv="refresh"' in plain.page.content()
        shared_site.scan("o4", at="shop")
        plain.page.get_by_text("is bound to the user user4").wait_for()

    with shared_site.screen(chromium) as screen:
        page = screen.page
        screen.goto("/account/login/?next=/me/wechat/shop/")
        screen.is_accessible("my-wechat-login")
        page.get_by_role("button", name="Sign in with WeChat").click()
        page.get_by_role("button", name="Shop").wait_for()
        screen.is_accessible("my-wechat-accounts")
        page.get_by_role("button", name="Shop").click()
        page.locator("img.code").wait_for()
        screen.is_accessible("my-wechat-sign-in")
        assert "as “user4”" in shared_site.scan("o4", at="shop")
        page.get_by_text("has asked you in WeChat").wait_for()
        screen.is_accessible("my-wechat-asked")
        shared_site.say("o4", "sign in", at="shop")
        page.wait_for_url("**/me/wechat/shop/")
        page.get_by_text("is bound to the user user4").wait_for()

"""Reply rules as an operator writes them, in Debian's Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.staticfiles.finders import find
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORDS = {
    "zh-CN": {
        "write": "添加规则", "add": "添加回复", "publish": "发布", "test": "测试",
        "never": "已先匹配全部情况", "unpublished": "处更改未发布", "live": "已开始回复粉丝",
        "wins": "回复的规则：", "later": "也匹配，但排在后面",
    },
    "en-US": {
        "write": "Write a rule", "add": "Add an answer", "publish": "Publish", "test": "Test",
        "never": "takes all of it", "unpublished": "changes are not published",
        "live": "answers followers from now on", "wins": "The rule that answers:",
        "later": "fits too, but stands later",
    },
}  # fmt: skip


def test_rules_are_written_put_in_order_tested_and_published(shared_site, chromium):
    words, in_english = WORDS["zh-CN"], WORDS["en-US"]
    with shared_site.screen(chromium, "rules", language="zh-CN") as screen:
        page = screen.page
        names = page.locator(".rules-row h3 a")

        def write(name: str, how: str, text: str, *answers: str) -> None:
            page.get_by_role("link", name=words["write"]).first.click()
            page.wait_for_selector("[data-rules-editor] [data-add]:visible")
            page.select_option("[name=how]", how)
            assert not page.locator("[name=follow]").is_visible()
            page.fill("[name=words]", text)
            for number, answer in enumerate(answers):
                if number:
                    page.get_by_role("button", name=words["add"]).click()
                    page.select_option(f"[name=answers{number}-kind]", "text")
                page.fill(f"[name=answers{number}-content]", answer)
            page.fill("[name=name]", name)
            screen.fits("rules-editor")
            page.click("button[name=_save]")
            page.wait_for_selector(".rules-list")

        screen.goto("/admin/events/replyrule/")
        write("货", "contains_any", "货", "goods")
        write("退货", "contains_any", "退货", "one", "two")
        expect(page.get_by_text(words["never"])).to_have_count(1)
        screen.fits("rules-list")
        screen.reads_in_other_language(in_english["never"], in_english["publish"])

        # The arrow is pressed with the keyboard, and keeps the focus on the page that follows.
        row = page.locator(".rules-row", has=page.get_by_text("退货", exact=True))
        up = row.locator("button[value$=':-1']")
        rule = row.get_attribute("data-rule")
        up.press("Enter")
        expect(names).to_have_text(["退货", "货"])
        expect(page.get_by_text(words["never"])).to_have_count(0)
        page.wait_for_function(f"(document.activeElement.value || '').startsWith('{rule}:')")

        # By the handle the rule goes back below the other one.
        other = page.locator(".rules-row").last
        # The script of the page makes it.
        other.locator(".rules-handle").wait_for()
        box = other.bounding_box()
        row.locator(".rules-handle").drag_to(
            other, target_position={"x": box["width"] / 2, "y": box["height"] - 3}
        )
        expect(names).to_have_text(["货", "退货"])
        expect(page.get_by_text(words["never"])).to_have_count(1)
        up.click()
        expect(names).to_have_text(["退货", "货"])

        page.get_by_role("link", name=words["test"], exact=True).click()
        page.fill("[name=say]", "我要退货。")
        page.locator(".rules-box button").click()
        page.get_by_text(words["wins"]).wait_for()
        expect(page.locator(".rules-won th")).to_have_text("退货")
        expect(page.get_by_text(words["later"])).to_have_count(1)
        expect(page.locator(".rules-bubble")).to_have_text(["我要退货。", "one", "two"])
        screen.fits("rules-test")

        screen.goto("/admin/events/replyrule/")
        page.get_by_role("link", name=words["publish"]).first.click()
        page.wait_for_selector("[name=note]")
        screen.fits("rules-publish")
        screen.reads_in_other_language()
        page.locator("form:has([name=seen]) button[type=submit]").click()
        page.get_by_text(words["live"]).wait_for()
        page.wait_for_load_state()
        assert page.get_by_text(words["unpublished"]).count() == 0


ANSWER = """
<div data-one>
    <div data-tools>
        <button data-move="-1"></button><button data-move="1"></button>
        <button type="button" data-clear>Remove</button>
    </div>
    <div class="menu-field"><label></label>
        <select data-field="kind" name="answers0-kind"><option value="image">Image</option></select>
    </div>
    <div class="menu-field"><label></label>
        <select data-field="media_id" data-media="/file/0/" name="answers0-media_id">
            <option value="library:7">Cat</option>
        </select>
    </div>
</div>
"""


def test_a_removed_answer_leaves_no_picture(chromium):
    editor = f"<div data-rules-editor><fieldset>{ANSWER}<button data-add></button></fieldset></div>"
    page = chromium.new_page()
    page.set_content(editor)
    for script in ("wechat_site/media.js", "events/rules.js"):
        page.add_script_tag(content=Path(find(script)).read_text())
    expect(page.locator("img")).to_have_count(1)
    page.get_by_text("Remove").click()
    expect(page.locator("img")).to_have_count(0)
    page.close()
